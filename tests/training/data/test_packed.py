import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from tests.training.data.pictures import files, write_folder, write_zip
from training.data import Split, load
from training.data.packed import write_packed
from training.errors import DataError


@pytest.fixture
def packed(tmp_path: Path, digits: Split) -> Path:
    path = tmp_path / "digits.safetensors"
    write_packed(digits, path)
    return path


def test_a_packed_set_is_the_set_that_was_packed(packed: Path, digits: Split) -> None:
    again = load(packed)
    for mine, other in ((again.train, digits.train), (again.held_out, digits.held_out)):
        assert (mine.name, mine.classes) == (other.name, other.classes)
        assert np.array_equal(mine.images, other.images)
        assert mine.labels is not None
        assert other.labels is not None
        assert np.array_equal(mine.labels, other.labels)
        assert mine.labels.dtype == np.int64


def test_colour_without_classes_can_be_packed_too(tmp_path: Path) -> None:
    split = load(write_zip(tmp_path / "noise.zip", files(20, classes=0)), resolution=16)
    write_packed(split, tmp_path / "noise.safetensors")
    again = load(tmp_path / "noise.safetensors")
    assert (again.train.name, again.train.classes, again.train.labels) == ("noise", None, None)
    assert np.array_equal(again.held_out.images, split.held_out.images)


def test_packing_twice_gives_the_same_bytes(tmp_path: Path, packed: Path, digits: Split) -> None:
    write_packed(digits, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == packed.read_bytes()


def test_others_may_read_a_packed_set_as_far_as_the_umask_lets_them(tmp_path: Path, packed: Path) -> None:
    (tmp_path / "plain").touch()
    assert packed.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_pixels_are_mapped_and_writing_to_them_leaves_the_file_alone(packed: Path) -> None:
    before = packed.read_bytes()
    images = load(packed).train.images
    assert not images.flags.owndata
    torch.from_numpy(images)[:] = 0  # warns, which fails the test, of memory that is read-only
    assert images.max() == 0
    assert packed.read_bytes() == before


def test_another_resolution_than_it_was_packed_at_is_refused(packed: Path) -> None:
    assert load(packed, resolution=28).train.shape == (28, 28, 1)
    with pytest.raises(DataError, match="its images are 28x28, not 32x32"):
        load(packed, resolution=32)


@pytest.mark.parametrize("place", [-1, -100_000, 2000])
def test_one_changed_bit_is_found(packed: Path, place: int) -> None:
    data = bytearray(packed.read_bytes())
    data[place] ^= 1
    packed.write_bytes(data)
    with pytest.raises(DataError, match="its SHA-256 is not the one it was packed with"):
        load(packed)


def test_other_class_names_are_found(packed: Path) -> None:
    data = packed.read_bytes()
    assert data.count(b'\\"7\\"') == 1
    packed.write_bytes(data.replace(b'\\"7\\"', b'\\"S\\"'))
    with pytest.raises(DataError, match="its SHA-256 is not the one it was packed with"):
        load(packed)


def test_a_truncated_file_and_another_kind_of_file_are_named(tmp_path: Path, packed: Path) -> None:
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"digits\.safetensors: not a packed data set"):
        load(packed)
    save_file({"weights": np.zeros(3)}, tmp_path / "weights.safetensors")
    for data in (b"", b"text", (tmp_path / "weights.safetensors").read_bytes()):
        (tmp_path / "other.safetensors").write_bytes(data)
        with pytest.raises(DataError, match=r"other\.safetensors: not a packed data set"):
            load(tmp_path / "other.safetensors")


@pytest.mark.parametrize("broken", ["labels", "classes", "images", "format"])
def test_a_file_with_another_content_than_a_data_set_is_refused(packed: Path, broken: str) -> None:
    tensors = load_file(packed)
    about: dict[str, object] = {"format": "ganserve images 1", "name": "x", "classes": list("0123456789"), "sha256": ""}
    match broken:
        case "labels":
            tensors["train.labels"] = tensors["train.labels"] + 1
        case "classes":
            about["classes"] = None
        case "images":
            tensors["train.images"] = tensors["train.images"][..., 0]
        case "format":
            about["format"] = "ganserve images 2"
    save_file(tensors, packed, metadata={"about": json.dumps(about)})
    with pytest.raises(DataError, match="not a packed data set"):
        load(packed)


def test_nothing_is_overwritten_and_nothing_is_left_half_written(tmp_path: Path, packed: Path, digits: Split) -> None:
    with pytest.raises(DataError, match="is there already"):
        write_packed(digits, packed)
    with pytest.raises(DataError, match=r"called something\.safetensors"):
        write_packed(digits, tmp_path / "digits.npz")
    write_folder(tmp_path, {"file": b""})
    with pytest.raises(DataError, match="cannot be written"):
        write_packed(digits, tmp_path / "file" / "digits.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.safetensors", "file"]
