import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import main
from app.imaging import encode
from app.settings import Settings, variable
from tests.app.cli.command import done, run
from tests.fakes.bundles import write_bundle


def test_every_setting_has_a_flag_of_its_name_with_variable_and_description() -> None:
    text = " ".join(done("serve", "--help").split())
    for name, field in Settings.model_fields.items():
        assert f" --{name.replace('_', '-')} " in text
        assert f"[{variable(name)};" in text
        assert field.description is not None
        assert " ".join(field.description.split()[:3]) in text


@pytest.mark.parametrize("command", [[], *([name] for name in main.commands)])
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
