"""IDX directories: the form that MNIST and its successors are published in."""

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.published import KNOWN_LABELS
from training.data.sets import ImageSet, Split
from training.errors import DataError

CLASSES_FILE = "classes.txt"


def is_idx(path: Path) -> bool:
    """Whether the directory holds IDX images."""
    return any(path.glob("*-images-idx3-ubyte*"))


def read_idx(path: Path) -> Split:
    """Read `train-images-idx3-ubyte[.gz]`, `train-labels-idx1-ubyte[.gz]` and the `t10k-` pair, which is held out.

    `classes.txt`, one name a line, names the classes; those of published sets are known without it. Raises DataError
    for files that are missing, corrupt or at odds.
    """
    digest = hashlib.sha256(_read_bytes(path, "train-labels-idx1-ubyte")).hexdigest()
    name, classes = KNOWN_LABELS.get(digest, (path.resolve().name, None))
    names = path / CLASSES_FILE
    if names.is_file():
        classes = tuple(line.strip() for line in names.read_text(encoding="utf-8").splitlines() if line.strip())
    train = _read_pair(path, "train", name, classes)
    return Split(train, _read_pair(path, "t10k", name, train.classes))


def _read_pair(path: Path, part: str, name: str, classes: tuple[str, ...] | None) -> ImageSet:
    images = _parse(_read_bytes(path, f"{part}-images-idx3-ubyte"), 3, path)[..., np.newaxis]
    labels = _parse(_read_bytes(path, f"{part}-labels-idx1-ubyte"), 1, path).astype(np.int64)
    if len(images) != len(labels):
        raise DataError(f"{path}: {len(images)} {part} images, {len(labels)} labels")
    if len(images) == 0:
        raise DataError(f"{path}: the {part} set is empty")
    names = classes or tuple(str(label) for label in range(int(labels.max()) + 1))
    if labels.max() >= len(names):
        raise DataError(f"{path}: a label is {labels.max()}, and {len(names)} classes are named")
    return ImageSet(name, images, labels, names)


def _read_bytes(path: Path, stem: str) -> bytes:
    plain, packed = path / stem, path / f"{stem}.gz"
    try:
        if plain.is_file():
            return plain.read_bytes()
        return gzip.decompress(packed.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: neither {stem} nor {stem}.gz is there") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{packed}: cannot be unpacked ({error})") from None


def _parse(data: bytes, dimensions: int, path: Path) -> NDArray[np.uint8]:
    """IDX: two zero bytes, the type (8 is an unsigned byte), the number of dimensions, their big-endian sizes."""
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes((0, 0, 8, dimensions)):
        raise DataError(f"{path}: not an IDX file of unsigned bytes in {dimensions} dimension(s)")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    if len(data) - header != int(np.prod(shape, dtype=np.int64)):
        raise DataError(f"{path}: an IDX file has {len(data) - header} bytes of data, its header says {shape}")
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape).copy()  # a view of bytes is read-only
