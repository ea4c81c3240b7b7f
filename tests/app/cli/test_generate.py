import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bundle import classes_of, sample_latents
from bundle.manifest import LatentSpec
from tests.app.cli.command import done, run
from tests.fakes.bundles import DIM, expected_pixels, write_bundle


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "images.jsonl").read_text().splitlines()]


def test_generate_writes_a_file_per_seed(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = done("generate", bundle, "--seeds", "3-5,42", "--class-id", "2", "--out", out, "--device", "cpu")
    names = ["seed3.png", "seed4.png", "seed42.png", "seed5.png"]
    assert sorted(path.name for path in out.glob("*.png")) == names
    assert text == f"4 images in {out}\n"
    found = np.asarray(Image.open(io.BytesIO((out / "seed42.png").read_bytes())))
    expected = expected_pixels(bundle, 42, 2)[:, :, 0]
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_generate_takes_a_bundle_from_any_folder(bundle: Path, tmp_path: Path) -> None:
    moved = bundle.rename(tmp_path / "somewhere")
    done("generate", moved, "--seeds", "1", "--out", tmp_path, "--device", "cpu")
    assert (tmp_path / "seed1.png").exists()


def test_generate_draws_fresh_seeds_and_more_than_a_request_would(bundle: Path, tmp_path: Path) -> None:
    text = done("generate", bundle, "-n", "300", "--grid", "--out", tmp_path, "--device", "cpu")
    assert text == f"300 images in {tmp_path / 'grid.png'}\n"
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
        ["--seeds", "0-1999999"],
    ],
)
def test_generate_refuses_seeds_it_cannot_use(bundle: Path, arguments: list[str]) -> None:
    assert run("generate", bundle, *arguments).exit_code == 2


def test_generate_says_in_one_line_what_the_model_cannot_do(bundle: Path, tmp_path: Path) -> None:
    result = run("generate", bundle, "--seeds", "1", "--class-id", "9", "--out", tmp_path, "--device", "cpu")
    assert result.exit_code == 1
    assert result.output.strip().splitlines()[-1].endswith("class_id: this model's classes are 0 to 2")


def test_a_folder_says_what_was_asked_for_and_how_each_image_was_made(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done("generate", bundle, "--seeds", "1,2", "--truncation", "0.5", "--out", out, "--device", "cpu")
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["model"], manifest["seeds"], manifest["settings"]["truncation"]) == ("tiny@1", [1, 2], 0.5)
    classes = classes_of(sample_latents(LatentSpec(distribution="normal", dim=DIM), [1, 2]), 3).tolist()
    assert [(line["file"], line["seed"], line["class_id"]) for line in lines(out)] == [
        ("seed1.png", 1, classes[0]),
        ("seed2.png", 2, classes[1]),
    ]
    with Image.open(out / "seed1.png") as image:
        text = image.info
    assert (text["model"], text["seed"], text["class_id"], text["truncation"]) == (
        "tiny@1",
        "1",
        str(classes[0]),
        "0.5",
    )


def test_images_are_shared_evenly_among_the_classes_in_folders_that_training_reads(
    bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    told = json.loads(done("generate", bundle, "-n", "9", "--per-class", "--out", out, "--json", "--device", "cpu"))
    assert (told["images"], told["made"]) == (9, 9)
    assert {path.name: len(list(path.iterdir())) for path in out.iterdir() if path.is_dir()} == {
        "0-zero": 3, "1-one": 3, "2-two": 3,
    }  # fmt: skip
    assert [line["class_id"] for line in lines(out)] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_stopped_command_is_gone_on_with(bundle: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    command = ("generate", bundle, "--seeds", "0-9", "--json", "--device", "cpu", "--out")
    done(*command, whole)
    done(*command, out)
    kept = (out / "images.jsonl").read_text().splitlines(keepends=True)
    (out / "images.jsonl").write_text("".join(kept[:4]) + kept[4][:10])  # it was killed while it wrote a line
    for line in kept[4:]:
        (out / json.loads(line)["file"]).unlink()
    told = json.loads(done(*command, out))
    assert (told["images"], told["made"]) == (10, 6)
    for path in whole.glob("*.png"):
        assert (out / path.name).read_bytes() == path.read_bytes()
    assert len(lines(out)) == 10


def test_fresh_seeds_stay_those_that_were_drawn_first(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done("generate", bundle, "-n", "3", "--out", out, "--device", "cpu")
    before = lines(out)
    told = json.loads(done("generate", bundle, "-n", "3", "--out", out, "--json", "--device", "cpu"))
    assert told["made"] == 0
    assert lines(out) == before


@pytest.mark.parametrize("change", [["--truncation", "0.5"], ["--seeds", "0-4"], ["--format", "webp"]], ids=str)
def test_another_command_does_not_go_on_in_the_same_folder(bundle: Path, tmp_path: Path, change: list[str]) -> None:
    command = ["generate", str(bundle), "--seeds", "0-3", "--out", str(tmp_path / "out"), "--device", "cpu"]
    done(*command)
    result = run(*command, *change)
    assert result.exit_code == 1
    assert "images of another command" in result.output


def test_a_zip_has_the_folder_and_nothing_is_left_beside_it(bundle: Path, tmp_path: Path) -> None:
    done("generate", bundle, "-n", "6", "--per-class", "--out", tmp_path / "set.zip", "--device", "cpu")
    names = zipfile.ZipFile(tmp_path / "set.zip").namelist()
    assert sum(name.startswith("1-one/") for name in names) == 2
    assert {"manifest.json", "images.jsonl"} <= set(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "set.zip"]
    again = run("generate", bundle, "-n", "6", "--out", tmp_path / "set.zip", "--device", "cpu")
    assert "is there already" in again.output


def test_an_npz_has_images_labels_and_seeds(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "set.npz"
    done("generate", bundle, "--seeds", "5,6,7", "--per-class", "--out", out, "--device", "cpu")
    with np.load(out) as found:
        assert found["labels"].tolist() == [0, 1, 2]
        assert found["seeds"].tolist() == [5, 6, 7]
        assert found["classes"].tolist() == ["zero", "one", "two"]
        expected = expected_pixels(bundle, 6, 1)
        assert np.abs(found["images"][1].astype(int) - expected.astype(int)).max() <= 1


def test_the_most_real_are_kept_and_said(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("generate", bundle, "--seeds", "0-7", "--min-realness", "1", "--out", out, "--json", "--device", "cpu")
    told = json.loads(done(*command))
    assert told["accepted"] == sum(line["accepted"] for line in lines(out))
    assert all(0 <= line["realness"] <= 1 for line in lines(out))
    assert len(list(out.glob("*.png"))) == 8


def test_a_model_is_found_by_name(bundle: Path, tmp_path: Path) -> None:
    models = bundle.parents[1]
    write_bundle(models, name="tiny", version=12, seed=1)
    for reference, label in (("tiny", "tiny@12"), ("tiny@1", "tiny@1")):
        command = ("generate", "--model", reference, "--models", models, "--seeds", "1", "--json", "--device", "cpu")
        assert json.loads(done(*command, "--out", tmp_path / label))["model"] == label
    missing = run("generate", "--model", "none", "--models", models, "--seeds", "1", "--device", "cpu")
    assert missing.exit_code == 1
    assert "no model of this name" in missing.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seeds", "1"],
        ["BUNDLE", "--seeds", "1", "--url", "http://localhost:1"],
        ["BUNDLE", "--seeds", "1", "--per-class", "--class-id", "1"],
        ["BUNDLE", "--seeds", "1", "--grid", "--out", "x.zip"],
    ],
    ids=" ".join,
)
def test_flags_that_do_not_go_together_are_refused(bundle: Path, arguments: list[str]) -> None:
    given = [str(bundle) if argument == "BUNDLE" else argument for argument in arguments]
    assert run("generate", *given, "--device", "cpu").exit_code == 2


def test_a_model_without_classes_has_none_to_share_among(tmp_path: Path) -> None:
    plain = write_bundle(tmp_path, name="plain", conditional=False)
    result = run("generate", plain, "-n", "4", "--per-class", "--out", tmp_path / "x", "--device", "cpu")
    assert result.exit_code == 1
    assert "--per-class needs a model with classes" in result.output


def test_a_service_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = run("generate", "--url", "http://127.0.0.1:9", "-n", "1", "--out", tmp_path / "x")
    assert result.exit_code == 1
    assert result.output.startswith("Error: http://127.0.0.1:9: ")
    assert len(result.output.strip().splitlines()) == 1
