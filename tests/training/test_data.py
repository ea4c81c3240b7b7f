import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.conftest import DIGITS
from training.data import Sampler, Split, load
from training.errors import DataError


def test_idx_directory_gives_training_and_held_out_images(digits: Split) -> None:
    assert digits.train.images.shape == (600, 28, 28, 1)
    assert digits.held_out.images.shape == (200, 28, 28, 1)
    assert digits.train.labels is not None
    assert np.bincount(digits.train.labels).tolist() == [60] * 10
    assert digits.train.classes == tuple("0123456789")


def test_plain_idx_files_equal_packed_ones(tmp_path: Path, digits: Split) -> None:
    for packed in DIGITS.glob("*.gz"):
        (tmp_path / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    assert np.array_equal(load(tmp_path).train.images, digits.train.images)


def test_classes_txt_names_the_classes(tmp_path: Path) -> None:
    for packed in DIGITS.glob("*.gz"):
        (tmp_path / packed.name).write_bytes(packed.read_bytes())
    (tmp_path / "classes.txt").write_text("\n".join(f"digit {i}" for i in range(10)))
    assert load(tmp_path).held_out.classes == tuple(f"digit {i}" for i in range(10))


def _broken(folder: Path, name: str, data: bytes) -> Path:
    for packed in DIGITS.glob("*.gz"):
        (folder / packed.name).write_bytes(packed.read_bytes())
    (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"not gzip", "cannot be unpacked"),
        (gzip.compress(b"\0\0\x0d\x01abcd"), "not an IDX file"),
        (gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 600, 28, 28)), "its header says"),
    ],
)
def test_a_broken_idx_file_is_named(tmp_path: Path, data: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        load(_broken(tmp_path, "train-images-idx3-ubyte.gz", data))


def test_a_missing_directory_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data directory"):
        load(tmp_path / "nowhere")
    (_broken(tmp_path, "note", b"") / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="neither t10k-labels-idx1-ubyte nor"):
        load(tmp_path)


def _folder(root: Path, *, classes: int, colour: bool) -> Path:
    chance = np.random.default_rng(0)
    for index in range(20):
        folder = root / f"class-{index % classes}" if classes else root
        folder.mkdir(parents=True, exist_ok=True)
        pixels = chance.integers(0, 256, size=(20, 30, 3) if colour else (20, 30), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02}.png")
    return root


def test_image_folder_with_class_subfolders(tmp_path: Path) -> None:
    split = load(_folder(tmp_path, classes=2, colour=True), resolution=32)
    assert split.train.images.shape == (18, 32, 32, 3)
    assert split.held_out.images.shape == (2, 32, 32, 3)
    assert split.train.classes == ("class-0", "class-1")
    assert split.train.labels is not None
    assert np.bincount(split.train.labels).tolist() == [9, 9]


def test_flat_folder_of_grey_images_has_one_channel_and_no_classes(tmp_path: Path) -> None:
    split = load(_folder(tmp_path, classes=0, colour=False), resolution=32)
    assert split.train.images.shape == (18, 32, 32, 1)
    assert split.train.classes is None
    assert split.train.labels is None


def test_image_folder_needs_a_resolution_and_readable_images(tmp_path: Path) -> None:
    root = _folder(tmp_path, classes=0, colour=True)
    with pytest.raises(DataError, match="--resolution"):
        load(root)
    (root / "03.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"03\.png"):
        load(root, resolution=32)


def test_sampler_shows_every_image_once_an_epoch() -> None:
    sampler = Sampler(10, seed=1)
    first = np.concatenate([sampler.take(4), sampler.take(6)])
    second = sampler.take(10)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first.tolist() != second.tolist()


def test_sampler_goes_on_from_its_position() -> None:
    whole, stopped = Sampler(10, seed=1), Sampler(10, seed=1)
    stopped.take(7)
    resumed = Sampler(10, seed=1, position=stopped.position)
    assert whole.take(25)[7:].tolist() == resumed.take(18).tolist()
