import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from app.cli import main
from app.imaging import encode
from app.settings import Settings, variable
from tests.fakes.bundles import expected_pixels, write_bundle


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "models", name="tiny")


def run(*arguments: str | Path) -> Result:
    return CliRunner(env=dict.fromkeys(name for name in os.environ if name.startswith("GANSERVE_"))).invoke(
        main, [str(argument) for argument in arguments]
    )


def done(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_setting_has_a_flag_of_its_name_with_variable_and_description() -> None:
    text = " ".join(done("serve", "--help").split())
    for name, field in Settings.model_fields.items():
        assert f" --{name.replace('_', '-')} " in text
        assert f"[{variable(name)};" in text
        assert field.description is not None
        assert " ".join(field.description.split()[:3]) in text


@pytest.mark.parametrize("command", [[], ["serve"], ["bench"], ["inspect"], ["generate"], ["score"]])
def test_every_command_explains_itself(command: list[str]) -> None:
    assert "Usage:" in done(*command, "--help")


def test_a_wrong_flag_value_is_one_line_and_names_the_setting() -> None:
    result = run("serve", "--port", "seventy")
    assert result.exit_code != 0
    assert len(result.output.strip().splitlines()) == 1
    assert "GANSERVE_PORT" in result.output


def test_a_host_that_is_no_address_is_one_line(bundle: Path) -> None:
    result = run("serve", "--models", bundle.parents[1], "--host", "no.such.host.invalid")
    assert result.exit_code == 1
    assert "cannot listen" in result.output


def test_inspect_says_what_a_bundle_holds(bundle: Path) -> None:
    text = done("inspect", bundle)
    assert "tiny@1" in text
    assert "3: zero, one, two" in text
    assert "scale_z" in text


def test_inspect_prints_the_manifest(bundle: Path) -> None:
    assert json.loads(done("inspect", bundle, "--json"))["name"] == "tiny"


def test_inspect_refuses_a_bundle_that_was_tampered_with(bundle: Path) -> None:
    graph = bundle / "generator.onnx"
    graph.write_bytes(graph.read_bytes() + b"\x00")
    result = run("inspect", bundle)
    assert result.exit_code == 1
    assert "SHA-256" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_generate_writes_a_file_per_seed(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = done("generate", bundle, "--seeds", "3-5,42", "--class-id", "2", "--out", out, "--device", "cpu")
    names = ["seed3.png", "seed4.png", "seed5.png", "seed42.png"]
    assert text.split() == [str(out / name) for name in names]
    found = np.asarray(Image.open(io.BytesIO((out / "seed42.png").read_bytes())))
    expected = expected_pixels(bundle, 42, 2)[:, :, 0]
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_generate_takes_a_bundle_from_any_folder(bundle: Path, tmp_path: Path) -> None:
    moved = bundle.rename(tmp_path / "somewhere")
    done("generate", moved, "--seeds", "1", "--out", tmp_path, "--device", "cpu")
    assert (tmp_path / "seed1.png").exists()


def test_generate_draws_fresh_seeds_and_more_than_a_request_would(bundle: Path, tmp_path: Path) -> None:
    text = done("generate", bundle, "-n", "300", "--grid", "--out", tmp_path, "--device", "cpu")
    assert text.split() == [str(tmp_path / "grid.png")]
    with Image.open(tmp_path / "grid.png") as sheet:
        assert sheet.size == (18 * 8, 17 * 8)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--seeds", "1", "-n", "2"],
        ["--seeds", "x"],
        ["--seeds", "5-3"],
        ["--seeds", "4294967296"],
        ["--seeds", "0-999999"],
    ],
)
def test_generate_refuses_seeds_it_cannot_use(bundle: Path, arguments: list[str]) -> None:
    assert run("generate", bundle, *arguments).exit_code == 2


def test_generate_says_in_one_line_what_the_model_cannot_do(bundle: Path, tmp_path: Path) -> None:
    result = run("generate", bundle, "--seeds", "1", "--class-id", "9", "--out", tmp_path, "--device", "cpu")
    assert result.exit_code == 1
    assert result.output.strip().splitlines()[-1].endswith("class_id: this model's classes are 0 to 2")


def test_score_rates_each_image(bundle: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.webp"]
    noise = np.random.RandomState(0).randint(0, 256, (8, 8, 1), dtype=np.uint8)
    paths[0].write_bytes(encode(noise, "png", quality=90))
    paths[1].write_bytes(encode(np.repeat(noise, 2, axis=1), "webp", quality=90))
    lines = [json.loads(line) for line in done("score", bundle, *paths, "--json", "--device", "cpu").splitlines()]
    assert [line["file"] for line in lines] == [str(path) for path in paths]
    assert all(0 <= line["realness"] <= 1 for line in lines)
    assert lines[0]["changes"] == []
    assert "resized 16x8 to 8x8" in lines[1]["changes"]
    assert "resized 16x8 to 8x8" in done("score", bundle, paths[1], "--device", "cpu")


def test_score_names_the_file_that_is_no_image(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    result = run("score", bundle, path, "--device", "cpu")
    assert result.exit_code == 1
    assert "notes.txt: an image must be PNG, JPEG or WebP" in result.output


def test_score_needs_a_discriminator(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, discriminator=False)
    path = tmp_path / "a.png"
    out = io.BytesIO()
    Image.new("L", (8, 8)).save(out, "PNG")
    path.write_bytes(out.getvalue())
    result = run("score", bundle, path, "--device", "cpu")
    assert result.exit_code == 1
    assert "without a discriminator" in result.output
