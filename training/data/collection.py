"""A collection of image files, in class folders or flat: from names and bytes to a split in memory."""

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from training.data.pictures import Unreadable, decode_picture
from training.data.sets import ImageSet, Skipped, Split, name_skipped
from training.errors import DataError

HELD_OUT_SHARE = 10
"""One image in this many is held out from training."""
MAX_SKIPPED_SHARE = 100
"""At most one image in this many may be unreadable."""

Progress = Callable[[int, int], None]
"""Told how many files have been read, of how many."""


def read_collection(
    files: Iterable[str],
    read: Callable[[str], bytes],
    *,
    name: str,
    path: Path,
    resolution: int | None,
    progress: Progress | None = None,
) -> Split:
    """Decode the image `files`, named by their paths within the collection, with `/` between folders.

    Files in folders have the folder's path as their class; a flat collection has no classes. Files are sorted by path,
    and every tenth of that list is held out: the same names give the same split on every system, in a folder and in
    a zip, whichever of them can be read. Images are grey when all of them are.

    `read` gives a file's bytes, or raises Unreadable. Raises DataError, with `path` in the message, for fewer than ten
    images, without a resolution, and when more than one image in a hundred is unreadable.
    """
    ordered = sorted(files, key=lambda file: PurePosixPath(file).parts)
    if len(ordered) < HELD_OUT_SHARE:
        raise DataError(f"{path}: {len(ordered)} images; at least {HELD_OUT_SHARE} are needed, one in ten is held out")
    if resolution is None:
        raise DataError(f"{path}: a folder or zip of images needs --resolution")
    classes, labels = _classes(ordered, path)
    try:
        pixels = np.empty((len(ordered), resolution, resolution, 3), dtype=np.uint8)
    except (MemoryError, ValueError):
        raise DataError(f"{path}: {len(ordered)} images of {resolution}x{resolution} do not fit into memory") from None
    readable = np.ones(len(ordered), dtype=np.bool_)
    skipped, enlarged, grey = [], 0, True
    for index, file in enumerate(ordered):
        if progress is not None:
            progress(index + 1, len(ordered))
        try:
            picture = decode_picture(read(file), resolution)
        except Unreadable as error:
            readable[index] = False
            skipped.append(Skipped(file, str(error)))
            continue
        pixels[index] = picture.pixels
        enlarged += picture.enlarged
        grey = grey and picture.grey
    if len(skipped) * MAX_SKIPPED_SHARE > len(ordered):
        told = name_skipped(skipped)
        raise DataError(f"{path}: {len(skipped)} of {len(ordered)} images cannot be read, more than 1 %: {told}")
    held_out = np.arange(len(ordered)) % HELD_OUT_SHARE == HELD_OUT_SHARE - 1

    def part(chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> ImageSet:
        return ImageSet(
            name,
            pixels[chosen, :, :, : 1 if grey else 3],
            None if classes is None else labels[chosen],
            classes,
            tuple(ordered[index] for index in np.flatnonzero(chosen)),
        )

    return Split(part(readable & ~held_out), part(readable & held_out), tuple(skipped), enlarged)


def _classes(files: list[str], path: Path) -> tuple[tuple[str, ...] | None, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    folders = sorted({PurePosixPath(file).parent for file in files})
    ids = {folder: index for index, folder in enumerate(folders)}
    labels = np.array([ids[PurePosixPath(file).parent] for file in files], dtype=np.int64)
    here = PurePosixPath()
    if folders == [here]:
        return None, labels
    if here in ids:
        stray = files[int(np.flatnonzero(labels == ids[here])[0])]
        raise DataError(f"{path}: some images lie in class folders and some beside them, such as {stray}")
    return tuple(str(folder) for folder in folders), labels
