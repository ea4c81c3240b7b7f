"""Data sets: IDX directories and folders of images, read into one in-memory type."""

import gzip
import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from training.errors import DataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
HELD_OUT_SHARE = 10
"""One image in this many of an image folder is held out from training."""

_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
# IDX files hold no class names: the published sets are known by the SHA-256 of their training labels, unpacked.
_KNOWN_LABELS = {
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5": ("mnist", tuple("0123456789")),
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9": ("fashion-mnist", _FASHION),
}


@dataclass(frozen=True)
class ImageSet:
    """Images of one size, in memory.

    `images` is uint8 [n, height, width, channels] with 1 (grey) or 3 (RGB) channels; `labels` is int64 [n] with
    values below len(classes), or None with `classes` None for a set without classes.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...] | None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels


@dataclass(frozen=True)
class Split:
    """What the game trains on, and what it never sees until it is measured and calibrated."""

    train: ImageSet
    held_out: ImageSet


def load(path: Path, *, resolution: int | None = None) -> Split:
    """Read the data set at `path`: an IDX directory (plain or .gz) or a folder of images.

    IDX: `train-images-idx3-ubyte[.gz]`, `train-labels-idx1-ubyte[.gz]` and the `t10k-` pair, which is held out.
    Image folder: PNG, JPEG, WebP or BMP files, in one subfolder per class or flat without classes; each is cropped to
    its central square and resized to `resolution`; every tenth image of the sorted list is held out.

    Raises DataError when nothing there can be read.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such data directory")
    if any(path.glob("*-images-idx3-ubyte*")):
        split = _load_idx(path)
        if resolution is not None and split.train.shape[:2] != (resolution, resolution):
            raise DataError(f"{path}: its images are {split.train.shape[0]}x{split.train.shape[1]}, not {resolution}")
        return split
    return _load_folder(path, resolution)


class Sampler:
    """An endless stream of indices, epoch after epoch, that can be stopped and taken up again.

    The order of an epoch depends on (seed, epoch) alone, so `position`, the number of indices given out, is the whole
    state.
    """

    def __init__(self, length: int, seed: int, position: int = 0) -> None:
        self._length = length
        self._seed = seed
        self.position = position

    def take(self, count: int) -> NDArray[np.int64]:
        """The next `count` indices, int64 [count]; runs on into the next epoch where one ends."""
        parts = []
        while count > 0:
            epoch, offset = divmod(self.position, self._length)
            part = self._order(epoch)[offset : offset + count]
            parts.append(part)
            self.position += len(part)
            count -= len(part)
        return np.concatenate(parts)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if getattr(self, "_epoch", None) != epoch:
            self._epoch = epoch
            self._cached = np.random.default_rng([self._seed, epoch]).permutation(self._length)
        return self._cached


def _load_idx(path: Path) -> Split:
    digest = hashlib.sha256(_read_idx_bytes(path, "train-labels-idx1-ubyte")).hexdigest()
    name, classes = _KNOWN_LABELS.get(digest, (path.resolve().name, None))
    names = path / "classes.txt"
    if names.is_file():
        classes = tuple(line.strip() for line in names.read_text(encoding="utf-8").splitlines() if line.strip())
    train = _read_idx_pair(path, "train", name, classes)
    return Split(train, _read_idx_pair(path, "t10k", name, train.classes))


def _read_idx_pair(path: Path, part: str, name: str, classes: tuple[str, ...] | None) -> ImageSet:
    images = _parse_idx(_read_idx_bytes(path, f"{part}-images-idx3-ubyte"), 3, path)[..., np.newaxis]
    labels = _parse_idx(_read_idx_bytes(path, f"{part}-labels-idx1-ubyte"), 1, path).astype(np.int64)
    if len(images) != len(labels):
        raise DataError(f"{path}: {len(images)} {part} images, {len(labels)} labels")
    if len(images) == 0:
        raise DataError(f"{path}: the {part} set is empty")
    names = classes or tuple(str(label) for label in range(int(labels.max()) + 1))
    if labels.max() >= len(names):
        raise DataError(f"{path}: a label is {labels.max()}, and {len(names)} classes are named")
    return ImageSet(name, images, labels, names)


def _read_idx_bytes(path: Path, stem: str) -> bytes:
    plain, packed = path / stem, path / f"{stem}.gz"
    try:
        if plain.is_file():
            return plain.read_bytes()
        return gzip.decompress(packed.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: neither {stem} nor {stem}.gz is there") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{packed}: cannot be unpacked ({error})") from None


def _parse_idx(data: bytes, dimensions: int, path: Path) -> NDArray[np.uint8]:
    """IDX: two zero bytes, the type (8 is an unsigned byte), the number of dimensions, their big-endian sizes."""
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes((0, 0, 8, dimensions)):
        raise DataError(f"{path}: not an IDX file of unsigned bytes in {dimensions} dimension(s)")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    if len(data) - header != int(np.prod(shape, dtype=np.int64)):
        raise DataError(f"{path}: an IDX file has {len(data) - header} bytes of data, its header says {shape}")
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape).copy()  # a view of bytes is read-only


def _load_folder(path: Path, resolution: int | None) -> Split:
    files = sorted(_image_files(path))
    if len(files) < HELD_OUT_SHARE:
        raise DataError(f"{path}: {len(files)} images; at least {HELD_OUT_SHARE} are needed, one in ten is held out")
    if resolution is None:
        raise DataError(f"{path}: a folder of images needs --resolution")
    folders = sorted({file.parent for file in files})
    classes = None if folders == [path] else tuple(str(folder.relative_to(path)) for folder in folders)
    pixels = [_read_image(file, resolution) for file in files]
    grey = all(np.array_equal(p[..., :1], p[..., 1:2]) and np.array_equal(p[..., :1], p[..., 2:]) for p in pixels)
    images = np.stack([p[..., :1] if grey else p for p in pixels])
    labels = None if classes is None else np.array([folders.index(file.parent) for file in files], dtype=np.int64)
    held_out = np.arange(len(files)) % HELD_OUT_SHARE == HELD_OUT_SHARE - 1

    def part(chosen: NDArray[np.bool_]) -> ImageSet:
        return ImageSet(path.resolve().name, images[chosen], None if labels is None else labels[chosen], classes)

    return Split(part(~held_out), part(held_out))


def _image_files(path: Path) -> Iterator[Path]:
    for file in path.rglob("*"):
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".") and file.is_file():
            yield file


def _read_image(file: Path, resolution: int) -> NDArray[np.uint8]:
    try:
        with Image.open(file, formats=("PNG", "JPEG", "WEBP", "BMP")) as image:
            upright = ImageOps.exif_transpose(image)
            flat = Image.new("RGBA", upright.size, "white")
            flat.alpha_composite(upright.convert("RGBA"))
            square = ImageOps.fit(flat.convert("RGB"), (resolution, resolution), Image.Resampling.LANCZOS)
            return np.asarray(square, dtype=np.uint8)
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{file}: cannot be read as an image ({type(error).__name__})") from None
