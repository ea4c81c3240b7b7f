"""Packed data sets: one safetensors file of ready pixels, labels, class names and a SHA-256 over all of them."""

import hashlib
import json
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from training.data.sets import ImageSet, Split
from training.errors import DataError

PACKED_SUFFIX = ".safetensors"

_FORMAT = "ganserve images 1"
_DTYPES = {"U8": np.uint8, "I64": np.int64}


def write_packed(split: Split, path: Path) -> str:
    """Write both parts of the split to `path`, beside its place and then renamed; returns the SHA-256 of the content.

    Tensors: `train.images` and `held_out.images`, uint8 NHWC, and, where there are classes, `train.labels` and
    `held_out.labels`, int64. The metadata's `about` is JSON with `format`, `name`, `classes` and `sha256`.
    Raises DataError when the file cannot be written, or is there already.
    """
    if path.suffix != PACKED_SUFFIX:
        raise DataError(f"{path}: a packed data set is called something{PACKED_SUFFIX}")
    if path.exists():
        raise DataError(f"{path}: is there already")
    tensors: dict[str, NDArray[Any]] = {}
    for part, images in (("train", split.train), ("held_out", split.held_out)):
        tensors[f"{part}.images"] = np.ascontiguousarray(images.images)
        if images.labels is not None:
            tensors[f"{part}.labels"] = images.labels
    classes = split.train.classes
    about = {"format": _FORMAT, "name": split.train.name, "classes": None if classes is None else list(classes)}
    digest = _digest(about, tensors)
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.touch()
        mode = beside.stat().st_mode  # safetensors would leave a file that nobody else may read
        save_file(tensors, beside, metadata={"about": json.dumps({**about, "sha256": digest})})
        beside.chmod(mode)
        beside.replace(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: cannot be written ({error})") from None
    finally:
        with suppress(OSError):
            beside.unlink()
    return digest


def read_packed(path: Path) -> Split:
    """The split in the packed file at `path`; its pixels are mapped, so that memory holds what is used of them.

    Raises DataError for another kind of file and for content that is not what was packed.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads(file.metadata()["about"])
        if about["format"] != _FORMAT:
            raise ValueError(about["format"])
        tensors = _mapped(path)
        stated = about.pop("sha256")
        intact = _digest(about, tensors) == stated
        split = Split(_part("train", about, tensors), _part("held_out", about, tensors))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a packed data set ({type(error).__name__})") from None
    if not intact:
        raise DataError(f"{path}: its SHA-256 is not the one it was packed with; pack it anew")
    return split


def _mapped(path: Path) -> dict[str, NDArray[Any]]:
    """Views of the file's tensors: safetensors begins with the length of a JSON header, which says where each lies."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    # Copy on write: torch wants writable memory, and the file stays as it is.
    data = np.memmap(path, dtype=np.uint8, mode="c", offset=8 + length).view(np.ndarray)
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            tensors[name] = data[start:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def _part(part: str, about: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> ImageSet:
    images, labels = tensors[f"{part}.images"], tensors.get(f"{part}.labels")
    classes = None if about["classes"] is None else tuple(str(name) for name in about["classes"])
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in {1, 3} or len(images) == 0:
        raise ValueError(images.shape)
    if (labels is None) != (classes is None):
        raise ValueError("labels without classes, or classes without labels")
    if labels is not None and classes is not None:
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise ValueError(labels.shape)
        if labels.min() < 0 or labels.max() >= len(classes):
            raise ValueError("a label beyond the classes")
        labels = labels.copy()
    return ImageSet(str(about["name"]), images, labels, classes)


def _digest(about: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode())
        digest.update(tensor.data)
    return digest.hexdigest()
