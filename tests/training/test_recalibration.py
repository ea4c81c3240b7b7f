import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from bundle import read_bundle, sample_latents
from bundle.manifest import Calibration
from tests.fakes import foreign
from tests.fakes.bundles import CLASSES, edit_manifest, write_bundle
from tests.training.conftest import DIGITS
from training.calibration import FIRST_SEED, draw_trial, stated_error
from training.cli import main
from training.data import ImageSet, Split
from training.errors import ConfigError
from training.export import BundleOrder, export
from training.players import CLASS_NOT_STATED, OnnxPlayers
from training.recalibration import recalibrate


def _silent(line: str) -> None:
    """Calibrations narrate; tests do not listen."""


def _record(folder: Path) -> Calibration:
    found = read_bundle(folder).manifest.calibration
    assert found is not None
    return found


def _noise(side: int, classes: tuple[str, ...] | None) -> Split:
    images = np.random.default_rng(0).integers(0, 256, (60, side, side, 1), dtype=np.uint8)
    labels = None if classes is None else np.arange(60) % len(classes)
    noise = ImageSet("noise", images, labels, classes)
    return Split(noise, noise)


def _sessions_agree(first: Path, second: Path, split: Split) -> bool:
    """Whether both bundles give the same logits and features, bit for bit."""
    ours, theirs = OnnxPlayers(first, threads=1), OnnxPlayers(second, threads=1)
    images = split.held_out.images[:40]
    classes = np.arange(len(images)) % (len(ours.classes or ()) + 1) + CLASS_NOT_STATED
    same = np.array_equal(ours.features(images), theirs.features(images))
    return same and np.array_equal(ours.logits(images, classes), theirs.logits(images, classes))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, finished_run: Path, digits: Split) -> Path:
    order = BundleOrder("digits")
    return export(finished_run, digits, tmp_path_factory.mktemp("models"), order, extractor=None, say=_silent)


@pytest.fixture(scope="module")
def calibrated(exported: Path, digits: Split) -> Path:
    """The export calibrated anew, on other generated images."""
    return recalibrate(exported, exported.parents[1], digits, first_seed=5000, threads=1, say=_silent)


def test_the_next_version_is_the_same_bundle_with_another_probability(
    exported: Path, calibrated: Path, digits: Split
) -> None:
    before, after = read_bundle(exported), read_bundle(calibrated)
    assert calibrated == exported.parent / "2"
    assert after.generator == before.generator
    assert np.array_equal(after.golden, before.golden)
    changed = {"version", "created", "discriminator", "calibration"}
    assert after.manifest.model_dump(exclude=changed) == before.manifest.model_dump(exclude=changed)
    assert {path.name for path in calibrated.iterdir()} == {path.name for path in exported.iterdir()}
    assert _sessions_agree(exported, calibrated, digits)
    assert _record(calibrated) != _record(exported)


def test_the_probability_is_the_logit_under_the_parameters_of_the_manifest(calibrated: Path, digits: Split) -> None:
    line, players, images = _record(calibrated).parameters, OnnxPlayers(calibrated), digits.held_out.images[:9]
    for class_id, suffix in ((3, ""), (CLASS_NOT_STATED, "_class_not_stated")):
        classes = np.full(9, class_id)
        scaled = line[f"slope{suffix}"] * players.logits(images, classes) + line[f"intercept{suffix}"]
        assert players.probabilities(images, classes) == pytest.approx(1 / (1 + np.exp(-scaled)), abs=1e-6)


def test_the_scores_are_those_of_the_images_that_were_not_fitted_on(calibrated: Path, digits: Split) -> None:
    players, scores = OnnxPlayers(calibrated), _record(calibrated).scores
    assert scores is not None
    real = digits.held_out.images[1::2]
    count = len(digits.held_out)
    made = players.images(sample_latents(players.latent, range(5000, 5000 + count)), np.arange(count) // 2 % 10)[1::2]
    assert scores.n == len(real) == len(made)
    for images, shares in ((real, scores.real), (made, scores.generated)):
        stated = players.probabilities(images, np.full(len(images), CLASS_NOT_STATED))
        for place, share in enumerate(shares):
            within = (stated >= place / 20) & (stated < (place + 1) / 20)
            assert share == pytest.approx(within.mean())


def test_the_error_of_the_manifest_is_that_of_the_graph(calibrated: Path, digits: Split) -> None:
    players = OnnxPlayers(calibrated)
    trial = draw_trial(players, digits.held_out, first_seed=5000)
    assert stated_error(players, trial) == pytest.approx(_record(calibrated).expected_calibration_error, abs=0.01)


def test_the_card_tells_of_the_new_calibration_alone_and_keeps_its_other_sections(
    exported: Path, calibrated: Path
) -> None:
    before, after = ((folder / "README.md").read_text() for folder in (exported, calibrated))
    assert after.startswith("# digits 2\n")
    assert after.count("calibrated (Platt)") == before.count("calibrated (Platt)") == 1
    assert "\n## Calibration\n\nBy `gantrain calibrate`, on `digits`. " in after
    lines = [line for line in before.splitlines()[1:] if "calibrated (Platt)" not in line]
    assert [line for line in lines if line not in after.splitlines()] == []


def test_a_second_calibration_takes_the_place_of_the_first(calibrated: Path, digits: Split) -> None:
    again = recalibrate(calibrated, calibrated.parents[1], digits, images=100, threads=1, say=_silent)
    assert (read_bundle(again).manifest.version, _record(again).n) == (3, 100)
    sizes = [len(onnx.load(folder / "discriminator.onnx").graph.node) for folder in (calibrated, again)]
    assert sizes[0] == sizes[1]
    assert (again / "README.md").read_text().count("## Calibration") == 1
    assert _sessions_agree(calibrated, again, digits)


def test_a_calibration_is_a_function_of_its_seed(exported: Path, tmp_path: Path, digits: Split) -> None:
    def parameters(folder: str, first_seed: int) -> dict[str, float]:
        found = recalibrate(
            exported, tmp_path / folder, digits, images=60, first_seed=first_seed, threads=1, say=_silent
        )
        return _record(found).parameters

    assert parameters("first", 7) == parameters("again", 7)
    assert parameters("first", 7) != parameters("other", 8)


def test_an_encoder_stays_and_older_manifests_stay_as_they_were(tmp_path: Path) -> None:
    source = write_bundle(tmp_path, encoder=True, conditional=False)
    after = read_bundle(recalibrate(source, tmp_path, _noise(8, None), threads=1, say=_silent))
    assert after.encoder == read_bundle(source).encoder
    assert _record(source).scores is None
    assert _record(after.path).scores is not None


def _packaged(tmp_path: Path, networks: tuple[nn.Module, nn.Module], classes: int, flags: list[str]) -> Path:
    """What `gantrain package` makes of a generator and a discriminator whose probability nobody calibrated."""
    class_ids = [torch.eye(3)] if classes else []
    z = torch.randn(3 if classes else 2, 8)
    g = foreign.export(networks[0], [z, *class_ids], tmp_path / "g.onnx", names=["z", "label"][: 1 + len(class_ids)])
    labels = [torch.tensor([0, 1])] if classes else []
    images = torch.randn(2, 1, 16, 16)
    names = ["image", "label"][: 1 + len(labels)]
    d = foreign.export(networks[1], [images, *labels], tmp_path / "d.onnx", names=names)
    words = ["package", str(g), "--name", "m", "--license", "MIT", "--out", str(tmp_path), "--discriminator", str(d)]
    found = CliRunner().invoke(main, [*words, *flags])
    assert found.exit_code == 0, found.output
    return Path(found.stdout.strip())


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("probability", [False, True])
def test_a_packaged_discriminator_that_was_never_calibrated_is(
    tmp_path: Path,
    classes: int,
    probability: bool,  # noqa: FBT001 -- a parameter
) -> None:
    torch.manual_seed(1)
    critic = foreign.Critic(channels=1, classes=classes, probability=probability)
    generator: nn.Module = foreign.OneHot() if classes else foreign.Flat()
    source = _packaged(tmp_path, (generator, critic), classes, ["--d-range", "-1,1"])
    assert read_bundle(source).manifest.calibration is None
    split = _noise(16, tuple(str(number) for number in range(classes)) or None)
    told: list[str] = []
    target = recalibrate(source, tmp_path, split, threads=1, say=told.append)
    assert _sessions_agree(source, target, split)
    trial = draw_trial(OnnxPlayers(source), split.held_out, first_seed=FIRST_SEED)
    before = stated_error(OnnxPlayers(source), trial)
    assert _record(target).expected_calibration_error < before
    assert any(f"{before:.4f} before" in line for line in told)
    card = (target / "README.md").read_text()
    assert "| discriminator | yes, calibrated |" in card
    assert "By `gantrain calibrate`, on `noise`. " in card
    assert "not calibrated" not in card


def test_a_bundle_without_discriminator_has_nothing_to_calibrate(tmp_path: Path) -> None:
    source = write_bundle(tmp_path, discriminator=False)
    with pytest.raises(ConfigError, match="no discriminator"):
        recalibrate(source, tmp_path, _noise(8, CLASSES), say=_silent)


@pytest.mark.parametrize(
    ("split", "changes", "complaint"),
    [
        (_noise(9, CLASSES), {}, r"makes \(8, 8, 1\) images, the data set has \(9, 9, 1\)"),
        (_noise(8, ("a", "b", "c")), {}, "other classes"),
        (_noise(8, None), {}, "other classes"),
        (_noise(8, CLASSES), {"first_seed": 2**32 - 59}, "seeds end at"),
        (_noise(8, CLASSES), {"images": 1}, "two are the least"),
    ],
    ids=["another size", "other names", "no classes", "too few seeds", "one image"],
)
def test_what_does_not_go_together_is_refused_and_leaves_nothing(
    tmp_path: Path, split: Split, changes: dict[str, int], complaint: str
) -> None:
    source = write_bundle(tmp_path)
    with pytest.raises(ConfigError, match=complaint):
        recalibrate(source, tmp_path / "out", split, say=_silent, **changes)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def command() -> Callable[..., tuple[int, str, str]]:
    def run(*words: str) -> tuple[int, str, str]:
        found = CliRunner().invoke(main, ["calibrate", *words])
        return found.exit_code, found.stdout, found.stderr

    return run


def test_the_command_prints_where_the_new_version_is(
    exported: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    flags = ["--data", str(DIGITS), "--images", "50", "--seed", "9", "--threads", "1"]
    status, printed, told = command(str(exported), "--out", str(tmp_path), *flags)
    assert (status, printed) == (0, f"{tmp_path / 'digits' / '2'}\n")
    assert "expected calibration error" in told
    written = json.loads((tmp_path / "digits" / "2" / "manifest.json").read_text())["calibration"]
    assert (written["n"], written["scores"]["n"]) == (50, 25)


def test_the_command_asks_for_the_data_set_of_a_bundle_that_names_no_published_one(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    status, _, told = command(str(write_bundle(tmp_path)))
    assert status == 1
    assert told.startswith("gantrain: --data says where the images are")


def test_the_data_set_of_a_published_name_is_looked_for_where_it_is_downloaded_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., tuple[int, str, str]]
) -> None:
    source = write_bundle(tmp_path)
    training = read_bundle(source).manifest.training.model_copy(update={"dataset": "mnist"})
    edit_manifest(source, training=training.model_dump())
    monkeypatch.chdir(tmp_path)
    status, _, told = command(str(source))
    assert (status, told) == (1, f"gantrain: {Path('data', 'mnist')}: no such data directory or file\n")


def test_a_data_set_of_another_size_is_refused_in_one_line(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    status, _, told = command(str(write_bundle(tmp_path)), "--data", str(DIGITS))
    assert status == 1
    assert "its images are 28x28, not 8x8" in told
