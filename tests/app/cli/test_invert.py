import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.imaging import encode
from tests.app.cli.command import done, run
from tests.fakes.bundles import DIM, expected_pixels, write_bundle

HERE = ("--device", "cpu")


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A bundle with an encoder."""
    return write_bundle(tmp_path / "models", name="mirror", encoder=True)


@pytest.fixture
def images(mirror: Path, tmp_path: Path) -> list[Path]:
    """Two files of images that the bundle makes: seed 5 as class 1, seed 6 as class 2."""
    paths = []
    for seed, class_id in ((5, 1), (6, 2)):
        paths.append(tmp_path / f"seed{seed}.png")
        paths[-1].write_bytes(encode(expected_pixels(mirror, seed, class_id), "png", quality=90))
    return paths


def pixels(path: Path) -> NDArray[np.float64]:
    return np.asarray(Image.open(path), dtype=np.float64)


def test_each_image_is_a_line_of_errors_and_class(mirror: Path, images: list[Path]) -> None:
    lines = done("invert", mirror, *images, "--class-id", "1", *HERE).splitlines()
    assert [line.split()[-1] for line in lines] == [str(path) for path in images]
    for line in lines:
        before, arrow, after, word, class_id, _ = line.split()
        assert (arrow, word, class_id) == ("->", "class", "1")
        assert float(after) <= float(before)


def test_lines_of_json_hold_what_the_service_answers(mirror: Path, images: list[Path]) -> None:
    lines = [json.loads(line) for line in done("invert", mirror, *images, "--json", *HERE).splitlines()]
    assert [(line["file"], line["index"], line["changes"]) for line in lines] == [
        (str(images[0]), 0, []),
        (str(images[1]), 1, []),
    ]
    for line in lines:
        assert set(line) == {
            "file", "index", "latent", "class_id", "error", "error_before", "evaluations", "changes",
        }  # fmt: skip
        assert len(line["latent"]) == DIM
        assert line["error"] <= line["error_before"]
        assert 0 < line["evaluations"] <= 256


def test_the_images_that_come_nearest_are_written_with_their_latents(
    mirror: Path, images: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "again"
    lines = done("invert", mirror, *images, "--class-id", "2", "--out", out, "--json", *HERE).splitlines()
    for path, line in zip(images, lines, strict=True):
        told = json.loads(line)
        assert told["out"] == str(out / path.name)
        apart = (pixels(out / path.name) - pixels(path)) / 255
        assert told["error"] == pytest.approx((apart**2).mean(), abs=1e-9)
        with Image.open(out / path.name) as image:
            text = image.info
        assert (text["model"], text["class_id"]) == ("mirror@1", "2")
        latent = np.frombuffer(base64.b64decode(text["latent"]), "<f4")
        assert latent.tolist() == told["latent"]


def test_without_a_budget_the_encoders_guess_is_the_answer(mirror: Path, images: list[Path]) -> None:
    told = json.loads(done("invert", mirror, images[0], "--budget", "0", "--json", *HERE))
    assert (told["evaluations"], told["error"]) == (0, told["error_before"])


def test_images_of_the_same_name_are_numbered(mirror: Path, images: list[Path], tmp_path: Path) -> None:
    twin = tmp_path / "twins" / "seed5.webp"
    twin.parent.mkdir()
    Image.open(images[0]).save(twin, "WEBP")
    done("invert", mirror, images[0], twin, images[1], "--budget", "1", "--out", tmp_path / "out", *HERE)
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["000000-seed5.png", "000001-seed5.png", "seed6.png"]


def test_what_is_changed_to_fit_is_said(mirror: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "wide.png", io.BytesIO()
    Image.new("L", (16, 8), 99).save(out, "PNG")
    path.write_bytes(out.getvalue())
    assert "(resized 16x8 to 8x8)" in done("invert", mirror, path, "--budget", "1", *HERE)


def test_a_model_without_classes_names_none(tmp_path: Path) -> None:
    plain = write_bundle(tmp_path, conditional=False, encoder=True)
    path = tmp_path / "a.png"
    path.write_bytes(encode(expected_pixels(plain, 1), "png", quality=90))
    assert "  class " not in done("invert", plain, path, *HERE)
    assert json.loads(done("invert", plain, path, "--json", *HERE))["class_id"] is None


def test_a_bundle_without_an_encoder_is_one_line(bundle: Path, images: list[Path]) -> None:
    result = run("invert", bundle, *images, *HERE)
    assert result.exit_code == 1
    assert result.output == "Error: tiny@1 has no encoder; gantrain fit-encoder makes one\n"


def test_an_image_is_never_overwritten(mirror: Path, images: list[Path], tmp_path: Path) -> None:
    before = images[0].read_bytes()
    result = run("invert", mirror, *images, "--out", tmp_path, *HERE)
    assert result.exit_code == 2
    assert f"would overwrite {images[0]}" in result.output
    assert images[0].read_bytes() == before


@pytest.mark.parametrize("wrong", [("--budget", "2049"), ("--budget", "-1"), ("--class-id", "-1")], ids=str)
def test_numbers_out_of_range_are_refused(mirror: Path, images: list[Path], wrong: tuple[str, str]) -> None:
    assert run("invert", mirror, *images, *wrong, *HERE).exit_code == 2


def test_a_class_that_the_model_does_not_have_is_one_line(mirror: Path, images: list[Path]) -> None:
    result = run("invert", mirror, *images, "--class-id", "3", *HERE)
    assert result.exit_code == 1
    assert "classes are 0 to 2" in result.output


def test_the_file_that_is_no_image_is_named(mirror: Path, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    result = run("invert", mirror, path, *HERE)
    assert result.exit_code == 1
    assert "notes.txt: an image must be PNG, JPEG or WebP" in result.output
