"""Figures of a bundle that were measured later, in its next version."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bundle import Manifest, read_bundle
from bundle.manifest import Metric
from tests.training.conftest import DIGITS
from training.card import INVERSION_METRICS
from training.cli import main
from training.data import Split
from training.evaluate import Evaluation
from training.export import BundleOrder, export
from training.metrics.features import SHIPPED
from training.players import OnnxPlayers
from training.publication import write_manifest
from training.remeasurement import publish_measured

OF_DIGITS = SHIPPED / "mnist.safetensors"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, finished_run: Path, digits: Split) -> Path:
    """A bundle that no extractor has measured."""
    models = tmp_path_factory.mktemp("models")
    return export(finished_run, digits, models, BundleOrder("digits"), extractor=None, say=lambda _: None)


@pytest.fixture(scope="module")
def measured(exported: Path) -> Path:
    measures = ["--images", "40", "--probe", "--memorisation"]
    result = _evaluate(exported, "--extractor", OF_DIGITS, *measures, "--out", exported.parents[1])
    assert result.exit_code == 0, result.output
    assert f"written to {exported.parent / '2'}" in result.stderr
    return exported.parent / "2"


def _evaluate(path: Path, *flags: str | Path) -> Result:
    return CliRunner().invoke(main, ["evaluate", str(path), "--data", str(DIGITS), *map(str, flags)])


def _manifest(folder: Path) -> Manifest:
    return read_bundle(folder).manifest


def test_the_next_version_has_the_figures_and_the_same_networks(exported: Path, measured: Path) -> None:
    before, after = _manifest(exported), _manifest(measured)
    assert after.version == 2
    assert after.metrics["fid"].n == 40
    assert {"coverage", "memorised", "feature_probe", "auc_real_against_noise"} <= after.metrics.keys()
    assert "fid" not in before.metrics
    kept = {"version", "created", "metrics"}
    assert before.model_dump(exclude=kept) == after.model_dump(exclude=kept)
    for file in ("generator.onnx", "discriminator.onnx", "golden.npy", "samples.png"):
        assert (exported / file).read_bytes() == (measured / file).read_bytes()


def test_what_is_printed_is_what_is_written(measured: Path, tmp_path: Path) -> None:
    models = shutil.copytree(measured.parents[1], tmp_path / "models")
    result = _evaluate(models / "digits" / "2", "--extractor", OF_DIGITS, "--images", "60", "--json", "--out", models)
    printed = json.loads(result.stdout)["metrics"]
    written = _manifest(models / "digits" / "3").metrics
    assert {name: written[name].model_dump(exclude_none=True) for name in printed} == printed
    # What was not measured this time stays.
    assert written["feature_probe"] == _manifest(measured).metrics["feature_probe"]
    assert written["fid"].n == 60


def test_the_card_has_one_table_of_figures_in_its_place(exported: Path, measured: Path) -> None:
    before, after = ((folder / "README.md").read_text() for folder in (exported, measured))
    assert after.startswith("# digits 2\n")
    assert after.count("## Measured") == 1
    assert "by `gantrain evaluate`." in after
    assert "by `gantrain export`." not in after
    assert after.count("calibrated (Platt)") == before.count("calibrated (Platt)") == 1
    for name in ("| fid |", "| memorised |", "| feature_probe |", "| auc_real_against_noise |", "| 0.7 |"):
        assert after.count(name) == 1, name
    assert after.partition("## Measured")[0].splitlines()[1:] == before.partition("## Measured")[0].splitlines()[1:]


def test_other_sections_of_the_card_stay_where_they_are(exported: Path, tmp_path: Path) -> None:
    source = shutil.copytree(exported, tmp_path / "digits" / "1")
    manifest = _manifest(source)
    metrics = {**manifest.metrics, **dict.fromkeys(INVERSION_METRICS, Metric(value=0.5, n=9))}
    write_manifest(source, manifest.model_copy(update={"metrics": metrics}))
    card = source / "README.md"
    card.write_text(card.read_text() + "\n## Encoder\n\nIt has one.\n\n## Calibration\n\ncalibrated (Platt) twice\n")
    found = publish_measured(
        source, OnnxPlayers(source), tmp_path, Evaluation({"fid": Metric(value=7.5, n=9)}), extractor=None
    )
    told = (found / "README.md").read_text()
    headings = [line.removeprefix("## ") for line in told.splitlines() if line.startswith("## ")]
    assert headings == ["Measured", "Encoder", "Calibration"]
    assert told.endswith("\n## Encoder\n\nIt has one.\n\n## Calibration\n\ncalibrated (Platt) twice\n")
    assert told.count("calibrated (Platt)") == 1  # the section says it
    assert "| fid | 7.5 |" in told
    assert "inversion_error" not in told  # the encoder's section tells of that
    assert _manifest(found).metrics["inversion_error"].value == 0.5


def test_a_bundle_without_a_card_gets_none(exported: Path, tmp_path: Path) -> None:
    source = shutil.copytree(exported, tmp_path / "digits" / "1")
    (source / "README.md").unlink()
    found = publish_measured(
        source, OnnxPlayers(source), tmp_path, Evaluation({"fid": Metric(value=7.5, n=9)}), extractor=None
    )
    assert not (found / "README.md").exists()


def test_a_run_and_another_truncation_have_no_place_in_a_manifest(
    finished_run: Path, exported: Path, tmp_path: Path
) -> None:
    of_run = _evaluate(finished_run, "--out", tmp_path)
    assert "which gantrain export makes of a run" in of_run.stderr
    truncated = _evaluate(exported, "--truncation", "0.5", "--out", tmp_path)
    assert "figures at truncation 1" in truncated.stderr
    assert of_run.exit_code == truncated.exit_code == 1
    assert list(tmp_path.iterdir()) == []
