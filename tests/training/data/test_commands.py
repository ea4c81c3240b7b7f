"""`gantrain data check` and `pack`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.training.conftest import DIGITS
from tests.training.data.pictures import files, write_folder, write_zip
from training.cli import main


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_check_tells_counts_shape_and_warnings() -> None:
    result = _run("data", "check", DIGITS)
    assert result.exit_code == 0, result.output
    assert "digits: 600 training and 200 held-out images" in result.output
    assert "28x28x1, grey" in result.output
    assert "duplicates: 0 in training, 0 in held out, 0 across; unreadable: 0" in result.output
    assert "warning: few training images: 600" in result.output


def test_check_as_json_has_all_findings(tmp_path: Path) -> None:
    contents = files(100, classes=2) | {"class-0/034.png": b"no image"}
    contents["class-0/098.png"] = contents["class-0/000.png"]
    result = _run("data", "check", write_zip(tmp_path / "noise.zip", contents), "--resolution", "16", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["name"], found["train"] + found["held_out"], found["channels"]) == ("noise", 99, 3)
    assert [one["name"] for one in found["classes"]] == ["class-0", "class-1"]
    assert found["skipped"] == [{"file": "class-0/034.png", "reason": "not a PNG, JPEG, WebP or BMP image"}]
    assert found["duplicates"]["train"] + len(found["duplicates"]["across"]) == 1
    assert len(found["mean"]) == len(found["std"]) == 3


def test_check_ends_with_status_1_when_the_set_cannot_be_trained_on(tmp_path: Path) -> None:
    contents = files(100, classes=0) | {f"{index:03}.png": b"" for index in range(2)}
    result = _run("data", "check", write_folder(tmp_path, contents), "--resolution", "16", "--json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "2 of 100 images cannot be read, more than 1 %" in result.stderr


def test_class_names_are_printed_as_they_are(tmp_path: Path) -> None:
    contents = {
        f"{name}/{index}.png": data
        for index, (_, data) in enumerate(files(20, classes=0).items())
        for name in ("[red]", "a")
    }
    result = _run("data", "check", write_folder(tmp_path, contents), "--resolution", "16")
    assert "[red]" in result.output


def test_samples_are_a_grid_of_ten_columns(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "samples.png"
    assert _run("data", "check", DIGITS, "--samples", out).exit_code == 0
    with Image.open(out) as image:
        assert image.size == (280, 280)
        assert image.mode == "L"
    refused = _run("data", "check", DIGITS, "--samples", tmp_path / "samples.txt")
    assert (refused.exit_code, "takes the name of a .png file" in refused.stderr) == (1, True)


def test_a_packed_folder_is_checked_and_trained_on_like_the_folder(tmp_path: Path) -> None:
    folder, out = write_folder(tmp_path / "noise", files(200, classes=2)), tmp_path / "noise-32.safetensors"
    packed = _run("data", "pack", folder, out, "--resolution", "32")
    assert packed.exit_code == 0, packed.output
    assert "180 + 20 images" in packed.output
    checks = [json.loads(_run("data", "check", path, "--resolution", "32", "--json").stdout) for path in (folder, out)]
    assert checks[0]["enlarged"] == 200
    for found in checks:
        del found["enlarged"], found["warnings"]
    assert checks[0] == checks[1]
    fitted = _run("fit", "--data", out, "--out", tmp_path / "run", "--dry-run")
    assert fitted.exit_code == 0, fitted.output
    assert "noise: 180 images 32x32x3, 2 classes, 20 held out" in fitted.stderr


def test_images_left_out_are_named_while_packing_and_training(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "noise", files(200, classes=2) | {"class-0/034.png": b"no image"})
    told = "1 of 200 images left out as unreadable: class-0/034.png (not a PNG, JPEG, WebP or BMP image)"
    assert told in _run("data", "pack", folder, tmp_path / "a.safetensors", "--resolution", "32").stderr
    fitted = _run("fit", "--data", folder, "--resolution", "32", "--out", tmp_path / "run", "--dry-run")
    assert told in fitted.stderr


@pytest.mark.parametrize("command", ["check", "pack", "download"])
def test_every_command_explains_itself(command: str) -> None:
    result = _run("data", command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output
