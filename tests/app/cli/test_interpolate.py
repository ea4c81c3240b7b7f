import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.app.cli.command import done, run
from tests.fakes.bundles import expected_pixels


@pytest.mark.parametrize(("name", "kind"), [("a.webp", "WEBP"), ("a.gif", "GIF"), ("a.apng", "PNG"), ("a.png", "PNG")])
def test_the_file_s_name_says_its_format(bundle: Path, tmp_path: Path, name: str, kind: str) -> None:
    command = ("interpolate", bundle, "--seeds", "1-3", "--steps", "4", "--loop", "--out", tmp_path / name, "--json")
    told = json.loads(done(*command, "--device", "cpu"))
    assert (told["frames"], told["seeds"]) == (12, [1, 2, 3])
    with Image.open(tmp_path / name) as image:
        assert (image.format, getattr(image, "n_frames", 1), image.size) == (kind, 12, (8, 8))


def test_frames_as_an_array_and_as_a_zip(bundle: Path, tmp_path: Path) -> None:
    command = ("interpolate", bundle, "--seeds", "1,2", "--steps", "3", "--class-id", "1", "--device", "cpu", "--out")
    done(*command, tmp_path / "a.npy")
    frames = np.load(tmp_path / "a.npy")
    assert frames.shape == (4, 8, 8, 1)
    assert np.abs(frames[3].astype(int) - expected_pixels(bundle, 2, 1).astype(int)).max() <= 1
    done(*command, tmp_path / "a.zip")
    archive = zipfile.ZipFile(tmp_path / "a.zip")
    assert archive.namelist() == ["00000.png", "00001.png", "00002.png", "00003.png"]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(archive.read("00003.png")))), frames[3, :, :, 0])


def test_fresh_key_frames_are_said(bundle: Path, tmp_path: Path) -> None:
    text = done("interpolate", bundle, "-n", "2", "--out", tmp_path / "new" / "a.webp", "--device", "cpu")
    assert "31 frames" in text
    assert len(text.rpartition("seeds ")[2].split(",")) == 2


@pytest.mark.parametrize(
    "arguments",
    [[], ["--seeds", "1,2", "-n", "2"], ["--seeds", "1,2", "--out", "a.mp4"], ["-n", "900", "--steps", "900"]],
    ids=str,
)
def test_what_is_no_walk_is_refused(bundle: Path, arguments: list[str]) -> None:
    assert run("interpolate", bundle, *arguments, "--device", "cpu").exit_code == 2


def test_one_key_frame_is_no_walk(bundle: Path) -> None:
    result = run("interpolate", bundle, "--seeds", "1", "--device", "cpu")
    assert result.exit_code == 1
    assert "two key frames" in result.output
