import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import DIGITS
from training.data import Split, load
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


def test_an_idx_directory_of_another_size_than_asked_for_is_refused() -> None:
    assert load(DIGITS, resolution=28).train.shape == (28, 28, 1)
    with pytest.raises(DataError, match="its images are 28x28, not 32x32"):
        load(DIGITS, resolution=32)
