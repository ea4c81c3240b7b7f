"""Games made sick on purpose, and what the doctor says of them."""

import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.training.conftest import DIGITS, quiet, small_config
from training import checkpoint
from training.cli import main
from training.config import TrainingConfig
from training.data import ImageSet, Split
from training.doctor import RunRecord, consult, measure_players, read_record
from training.errors import CheckpointError, DataError
from training.fit import fit
from training.metrics.diversity import Diversity
from training.players import TorchPlayers

RECORDED = Path(__file__).parents[1] / "data" / "runs"


@dataclass(frozen=True)
class Case:
    """How to make a game sick, on how many images, what is to be said of it, and a flag that is to be advised."""

    verdict: str
    settings: dict[str, object]
    flag: str | None = None
    images: int = 600


MLP: dict[str, object] = {"network": "mlp", "beta1": 0.5, "generator_width": 64, "discriminator_width": 80}
COPYIST: dict[str, object] = {"network": "mlp", "beta1": 0.5, "generator_width": 128, "discriminator_width": 160}
COPYIST |= {"z_dim": 32, "g_lr": 1e-3, "d_lr": 1e-3, "ema_half_life_kimg": 1.0, "report_every_kimg": 2.0}
STEADY: dict[str, object] = {"batch_size": 64, "z_dim": 32, "latent": "uniform", "g_lr": 2e-3, "d_lr": 1e-3}
CASES = [
    Case("D overpowers G", {**MLP, "loss": "minimax", "d_lr": 0.01, "g_lr": 1e-5, "kimg": 6.0}, "--loss"),
    Case("G exploits D", {**MLP, "d_lr": 1e-6, "kimg": 10.0}, "--d-lr"),
    Case("diverging", {**MLP, "d_lr": 10.0, "g_lr": 10.0, "kimg": 6.0}, "--g-lr"),
    Case("not converged yet", {**MLP, "kimg": 2.0}, "--kimg"),
    Case("memorising", {**COPYIST, "kimg": 40.0, "lr_decay": False}, "--augment", images=20),
    Case("healthy", {**STEADY, "kimg": 16.0, "ema_half_life_kimg": 0.5, "spectral_norm": False}),
]


def _cut(split: Split, images: int) -> Split:
    train = split.train
    labels = None if train.labels is None else train.labels[:images]
    return Split(ImageSet(train.name, train.images[:images], labels, train.classes), split.held_out)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.verdict)
def test_a_game_made_sick_is_told_what_it_has(case: Case, digits: Split, tmp_path: Path) -> None:
    usual = {"conditional": False, "z_dim": 16, "report_every_kimg": 0.5, "sample_every_kimg": 1000.0, "lr_decay": True}
    split = _cut(digits, case.images)
    fit(small_config(**{**usual, **case.settings}), split, tmp_path, resume=False, console=quiet())
    diversity = measure_players(TorchPlayers(tmp_path), split, None)
    found = consult(read_record(tmp_path), diversity, training_images=case.images)
    assert found.diagnosis.verdict == case.verdict, found
    assert case.flag is None or case.flag in found.remedy.flags


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*.json")), ids=lambda path: path.stem)
def test_recorded_games_are_told_what_they_had(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    config = TrainingConfig.from_preset(document["config"].pop("preset"), **document["config"], data=Path("data"))
    record = RunRecord(config, document["history"], quality=(), stopped=None)
    found = consult(record, Diversity(**document["diversity"]), training_images=document["training_images"])
    assert found.diagnosis.verdict == document["verdict"], found


def test_the_doctor_prints_verdict_evidence_remedy_and_what_it_measured(finished_run: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", str(finished_run)])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "verdict   not converged yet"
    assert lines[1] == "evidence  reports: 4, below 5"
    assert f"gantrain fit --out {finished_run} --resume --kimg 0.8" in result.stdout
    assert lines[-1].startswith("measured  1000 images, in pixels")


def test_the_doctor_prints_for_programs(finished_run: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", str(finished_run), "--data", str(DIGITS), "--json"])
    document = json.loads(result.stdout)
    assert document["verdict"] == "not converged yet"
    assert document["evidence"][0] == {"what": "reports", "value": 4, "relation": "below", "threshold": 5}
    assert document["remedy"]["flags"][0] == "--resume"
    assert 0 <= document["diversity"]["coverage"] <= 1


def test_without_data_or_checkpoint_the_record_alone_is_judged(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    settings = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**settings, "data": str(tmp_path / "gone")}))
    moved = CliRunner().invoke(main, ["doctor", str(run)])
    assert "the record alone is judged" in moved.stderr
    assert moved.stdout.startswith("verdict   not converged yet")
    for path in checkpoint.checkpoints(run):
        path.unlink()
    empty = CliRunner().invoke(main, ["doctor", str(run), "--data", str(DIGITS)])
    assert "no checkpoint" in empty.stderr
    assert empty.exit_code == 0


def test_a_run_that_diverged_is_judged_by_what_stopped_it_and_by_its_last_line(
    finished_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"images_seen": 500, "d_loss": NaN, "g_loss": 1.0}\n{"images_seen": 6')
    record = read_record(run)
    assert [line["images_seen"] for line in record.history] == [100, 200, 300, 400, 500]
    assert consult(record, None, training_images=None).diagnosis.verdict == "diverging"
    (run / "metrics.jsonl").unlink()
    (run / "stopped.json").write_text('{"reason": "diverged", "images_seen": 500, "what": "g_loss is nan"}')
    found = consult(read_record(run), None, training_images=None)
    assert found.diagnosis.verdict == "diverging"
    assert "g_loss is nan" in str(found.diagnosis.evidence[0])


def test_what_is_no_run_or_of_another_size_is_refused(finished_run: Path, tmp_path: Path, digits: Split) -> None:
    with pytest.raises(CheckpointError, match="no such run"):
        read_record(tmp_path)
    (tmp_path / "config.json").write_text('{"preset": "dcgan"}')
    with pytest.raises(CheckpointError, match="another version"):
        read_record(tmp_path)
    larger = ImageSet("larger", digits.train.images.repeat(2, axis=1).repeat(2, axis=2), None, None)
    with pytest.raises(DataError, match="the data set has"):
        measure_players(TorchPlayers(finished_run), Split(larger, larger), None)


def test_the_doctor_prints_the_whole_command_of_a_remedy_that_begins_anew(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "sick run")
    (run / "stopped.json").write_text('{"reason": "diverged", "images_seen": 400, "what": "g_loss is nan"}')
    (line,) = [
        line for line in CliRunner().invoke(main, ["doctor", str(run)]).stdout.splitlines() if "gantrain" in line
    ]
    program, _, *order = shlex.split(line)
    assert program == "gantrain"
    dry = CliRunner().invoke(main, ["fit", *order, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "5e-05" in dry.output  # a quarter of its rate
    assert order[order.index("--out") + 1] == f"{run}-2"
