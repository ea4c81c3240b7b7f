import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from bundle import read_bundle
from tests.training.conftest import DIGITS
from tests.training.data.mirror import Mirror, serve
from training.cli import main
from training.config import TrainingConfig

SMALL = ["--generator-width", "16", "--discriminator-width", "16", "--z-dim", "8", "--batch-size", "20"]
SHORT = ["--kimg", "0.2", "--report-every-kimg", "0.1", "--sample-every-kimg", "0.1", "--device", "cpu"]


def test_every_setting_is_a_flag_of_fit() -> None:
    help_text = CliRunner().invoke(main, ["fit", "--help"], terminal_width=200).output
    for name in TrainingConfig.model_fields:
        assert f"--{name.replace('_', '-')}" in help_text


@pytest.mark.parametrize("command", ["fit", "evaluate", "export", "package", "fit-extractor"])
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert "--data" in result.output


def test_from_data_to_a_bundle_by_commands_alone(tmp_path: Path) -> None:
    runner, run, models = CliRunner(), str(tmp_path / "run"), tmp_path / "models"
    fitted = runner.invoke(main, ["fit", "--data", str(DIGITS), "--out", run, *SMALL, *SHORT])
    assert fitted.exit_code == 0, fitted.output
    assert "D(x)" in fitted.output
    assert "D(G(z))" in fitted.output
    assert "too early" in fitted.output
    extractor = str(tmp_path / "x.safetensors")
    trained = runner.invoke(main, ["fit-extractor", "--data", str(DIGITS), "--out", extractor, "--epochs", "1"])
    assert "right on held-out real images" in trained.output, trained.output
    exported = runner.invoke(main, ["export", run, "--name", "digits", "--out", str(models), "--extractor", extractor])
    assert exported.exit_code == 0, exported.output
    assert read_bundle(models / "digits" / "1").manifest.name == "digits"
    bundle = str(models / "digits" / "1")
    measured = runner.invoke(
        main, ["evaluate", bundle, "--data", str(DIGITS), "--extractor", extractor, "--images", "40", "--json"]
    )
    figures = json.loads(measured.stdout)
    assert figures["metrics"]["conditional_accuracy"]["n"] == 40
    assert measured.stderr.splitlines() == [
        "generating 40 images",
        "comparing their features with those of real images",
        "scoring them with the discriminator",
    ]
    late = runner.invoke(main, ["evaluate", run, "--images", "40", "--memorisation"])
    assert late.stderr.splitlines() == [
        "gantrain: --memorisation needs an extractor; train one with gantrain fit-extractor"
    ]
    table = runner.invoke(main, ["evaluate", run, "--images", "40"])  # against the run's own data
    assert "auc_real_against_noise" in table.output
    refused = runner.invoke(main, ["evaluate", bundle, "--images", "40"])
    assert "--data says where the images are; the bundle was trained on digits" in refused.output


def test_a_preset_named_after_a_published_set_finds_its_data_and_a_place_for_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(DIGITS, tmp_path / "data" / "mnist")
    result = CliRunner().invoke(main, ["fit", "--preset", "mnist", *SMALL, *SHORT])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "runs" / "mnist" / "config.json").is_file()
    assert "gantrain export runs/mnist --name mnist --out models" in result.output


def test_what_is_not_there_of_a_published_set_is_downloaded_and_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    asked = ["fit", "--preset", "mnist", *SMALL, *SHORT, "--mirror"]
    with serve(Mirror({path.name: path.read_bytes() for path in DIGITS.glob("*.gz")})) as mirror:
        result = CliRunner().invoke(main, [*asked, mirror.url])
        assert mirror.asked[0][0].endswith("train-images-idx3-ubyte.gz")
    assert result.exit_code == 1
    assert "train-images-idx3-ubyte.gz" in result.stderr.splitlines()[-1]  # the few digits of the tests are not MNIST
    assert not (tmp_path / "runs").exists()
    monkeypatch.setenv("RANK", "1")
    result = CliRunner().invoke(main, [*asked, "http://127.0.0.1:9"])
    assert "gantrain data download mnist" in result.stderr


def test_dry_run_prints_the_settings_and_plays_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["fit", "--data", str(DIGITS), "--out", str(tmp_path / "run"), "--dry-run"])
    assert result.exit_code == 0
    assert "generator_width" in result.output
    assert "parameters on" in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["fit", "--data", "/nowhere", "--out", "run"], "no such data directory"),
        (["fit", "--out", "run"], "the presets mnist, fashion-mnist"),
        (["fit", "--data", str(DIGITS)], "--out"),
        (["fit", "--data", str(DIGITS), "--out", "run", "--batch-size", "1"], "batch_size"),
        (["evaluate", "/nowhere", "--data", str(DIGITS)], "no such run or checkpoint"),
        (["export", "/nowhere", "--name", "x"], "no such run or checkpoint"),
        (["export", "/nowhere", "--name", "No Good"], "--name"),
    ],
)
def test_what_goes_wrong_is_one_line_and_exit_status_1(
    arguments: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert result.stderr.splitlines()[-1].startswith("gantrain: ")
    assert "Traceback" not in result.output


def test_device_cuda_without_a_gpu_is_refused(tmp_path: Path) -> None:
    import torch  # noqa: PLC0415 -- only this test asks for the GPU

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    result = CliRunner().invoke(
        main, ["fit", "--data", str(DIGITS), "--out", str(tmp_path / "r"), "--device", "cuda", "--dry-run"]
    )
    assert result.exit_code == 1
    assert "no usable GPU" in result.stderr
