"""The best state of a run: kept while it is measured, and taken wherever a run is."""

import io
import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
from click.testing import CliRunner
from rich.console import Console

from bundle import read_bundle
from tests.training.conftest import DIGITS, quiet, small_config
from training import checkpoint
from training.checkpoint import BEST_FILE, Quality, State
from training.cli import main
from training.data import Split
from training.errors import CheckpointError, ConfigError
from training.evaluate import evaluate, open_players
from training.fit import fit
from training.game import Game, new_game
from training.metrics.features import SHIPPED, Extractor, load_extractor
from training.quality import IMAGES, QUALITY_FILE, QualityLog

OF_DIGITS = SHIPPED / "mnist.safetensors"


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return load_extractor(OF_DIGITS)


@pytest.fixture
def game(digits: Split) -> Game:
    game = new_game(small_config(), digits.train)
    game.images_seen = 100
    return game


@pytest.fixture
def run(tmp_path: Path, finished_run: Path, game: Game) -> Path:
    """A finished run of 400 images whose best state was that after 100, at a FID that nothing will beat."""
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / QUALITY_FILE).write_text('{"images_seen": 100, "fid": 0.5}\n{"images_seen": 400, "fid": 0.75}\n')
    checkpoint.save_best(run, game.state(), Quality(0.5, 100, "an extractor"))
    return run


def test_the_state_with_the_lowest_fid_is_kept_and_is_that_state(
    tmp_path: Path, digits: Split, extractor: Extractor
) -> None:
    told = io.StringIO()
    config = small_config(evaluate_every_kimg=0.2, sample_every_kimg=0.4)
    fit(config, digits, tmp_path, resume=False, console=Console(file=told, width=400), extractor=extractor)
    lines = [json.loads(line) for line in (tmp_path / QUALITY_FILE).read_text().splitlines()]
    lowest = min(lines, key=lambda line: line["fid"])
    assert checkpoint.quality_of_best(tmp_path) == Quality(lowest["fid"], lowest["images_seen"], extractor.sha256)
    players = open_players(tmp_path / BEST_FILE)
    assert evaluate(players, digits, extractor, images=IMAGES).metrics["fid"].value == lowest["fid"]
    measured = [line for line in told.getvalue().splitlines() if "kimg  fid" in line]
    assert [line.endswith("best so far") for line in measured] == [
        line["fid"] == min(earlier["fid"] for earlier in lines[: index + 1]) for index, line in enumerate(lines)
    ]


def test_only_a_lower_fid_of_the_same_extractor_is_better(
    tmp_path: Path, digits: Split, extractor: Extractor, game: Game
) -> None:
    log = QualityLog(tmp_path, digits, extractor)
    first = log.best(game, {"fid": 5.0})
    assert first == Quality(5.0, 100, extractor.sha256)
    checkpoint.save_best(tmp_path, game.state(), first)
    assert log.best(game, {"fid": 5.0}) is None
    assert log.best(game, {"fid": 4.9}) == Quality(4.9, 100, extractor.sha256)
    checkpoint.save_best(tmp_path, game.state(), Quality(0.1, 100, "another extractor"))
    assert log.best(game, {"fid": 5.0}) == first
    (tmp_path / BEST_FILE).write_bytes(b"damaged")
    assert log.best(game, {"fid": 5.0}) == first


def test_what_it_was_measured_at_is_no_state(tmp_path: Path, game: Game) -> None:
    checkpoint.save_best(tmp_path, game.state(), Quality(5.0, 100, "an extractor"))
    assert checkpoint.load(tmp_path / BEST_FILE).sha256() == game.state().sha256()


def test_a_run_that_has_no_checkpoint_yet_goes_on_from_its_best_state(
    tmp_path: Path, digits: Split, finished_run: Path
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    checkpoint.save_best(run, checkpoint.load(run), Quality(5.0, 400, "an extractor"))
    for path in checkpoint.checkpoints(run):
        path.unlink()
    with pytest.raises(ConfigError, match="--resume"):
        fit(small_config(), digits, run, resume=False, console=quiet())
    outcome = fit(small_config(kimg=0.5), digits, run, resume=True, console=quiet())
    assert outcome.game.images_seen == 500


def test_the_latest_state_comes_before_the_best(run: Path) -> None:
    assert checkpoint.load(run).facts["images_seen"] == 400
    latest = checkpoint.checkpoints(run)[0]
    latest.write_bytes(b"damaged")
    assert checkpoint.load(run).facts["images_seen"] == 200


def test_fewer_more_or_all_checkpoints_are_kept(tmp_path: Path, digits: Split) -> None:
    for keep, kept in ((1, [400]), (3, [400, 300, 200]), (0, [400, 300, 200, 100])):
        folder = tmp_path / str(keep)
        config = small_config(sample_every_kimg=0.1, keep=keep)
        fit(config, digits, folder, resume=False, console=quiet())
        assert [checkpoint.load(path).facts["images_seen"] for path in checkpoint.checkpoints(folder)] == kept
    with pytest.raises(ConfigError, match="keep"):
        small_config(keep=-1)


def test_the_best_state_is_exported_by_its_name(run: Path, tmp_path: Path) -> None:
    order = ["export", str(run / BEST_FILE), "--name", "best", "--out", str(tmp_path / "models"), "--no-discriminator"]
    result = CliRunner().invoke(main, order)
    assert result.exit_code == 0, result.output
    assert read_bundle(tmp_path / "models" / "best" / "1").manifest.training.images_seen == 100


def test_the_doctor_names_a_better_state_that_is_past(run: Path) -> None:
    told = CliRunner().invoke(main, ["doctor", str(run)]).stdout
    assert f"best      FID 0.5 at 0.1 kimg, kept in {run / BEST_FILE}" in told
    document = json.loads(CliRunner().invoke(main, ["doctor", str(run), "--json"]).stdout)
    assert document["best"] == {"fid": 0.5, "images_seen": 100, "extractor": "an extractor"}
    (run / QUALITY_FILE).write_text('{"images_seen": 100, "fid": 0.5}\n')
    assert "best " not in CliRunner().invoke(main, ["doctor", str(run)]).stdout


def test_fit_ends_with_the_command_that_exports_a_better_state_that_is_past(run: Path) -> None:
    sizes = {"generator-width": 16, "discriminator-width": 16, "z-dim": 8, "batch-size": 20}
    settings = {**sizes, "kimg": 0.5, "report-every-kimg": 0.1, "device": "cpu"}
    flags = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    order = ["fit", "--data", str(DIGITS), "--out", str(run), "--resume", "--no-lr-decay", *flags]
    told = CliRunner().invoke(main, order).output
    assert "FID was lowest at 0.1 kimg, 0.5; of that state:" in told
    assert f"gantrain export {run / BEST_FILE} --name NAME --out models" in told


def test_a_damaged_best_state_is_told_as_such(run: Path) -> None:
    (run / BEST_FILE).write_bytes(safetensors.torch.save({}, metadata={}))
    assert checkpoint.quality_of_best(run) is None
    with pytest.raises(CheckpointError, match="no checkpoint can be read"):
        checkpoint.load(run / BEST_FILE)


def test_the_card_names_what_the_game_was_changed_in_and_not_how_it_was_watched(run: Path, tmp_path: Path) -> None:
    state = checkpoint.load(run / BEST_FILE)
    watched = {**state.facts["config"], "evaluate_every_kimg": 10.0, "keep": 0, "g_lr": 3e-4}
    checkpoint.save_best(run, State(state.tensors, {**state.facts, "config": watched}), Quality(0.5, 100, "another"))
    order = ["export", str(run / BEST_FILE), "--name", "best", "--out", str(tmp_path / "models"), "--no-discriminator"]
    assert CliRunner().invoke(main, order).exit_code == 0
    card = (tmp_path / "models" / "best" / "1" / "README.md").read_text()
    (changed,) = [line for line in card.splitlines() if line.startswith("| changed from the preset")]
    assert "g_lr 0.0003" in changed
    assert "keep" not in changed
    assert "every_kimg" not in changed
