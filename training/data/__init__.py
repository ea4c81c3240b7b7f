"""Data sets: several forms on disk, read into one in-memory type."""

from pathlib import Path

from training.data.archive import read_archive
from training.data.collection import Progress
from training.data.folder import read_folder
from training.data.idx import is_idx, read_idx
from training.data.packed import PACKED_SUFFIX, read_packed
from training.data.sampler import Sampler
from training.data.sets import ImageSet, Skipped, Split
from training.data.stacked import PREFIX, stacked
from training.errors import DataError

__all__ = ["ImageSet", "Progress", "Sampler", "Skipped", "Split", "load"]


def load(path: Path, *, resolution: int | None = None, progress: Progress | None = None) -> Split:
    """Read the data set at `path`: an IDX directory, a folder or zip of images, or a packed file.

    `stacked:PATH` is StackedMNIST of the set at PATH. Folders and zips need `resolution`, the side in pixels that their
    images are resized to. The others hold images of one size, and `resolution`, where it is given, has to be that size.
    `progress` is told of each image file read.

    Raises DataError when nothing there can be read.
    """
    if str(path).startswith(PREFIX):
        return stacked(load(Path(str(path).removeprefix(PREFIX)), resolution=resolution, progress=progress))
    if path.is_file():
        split = read_packed(path) if path.suffix == PACKED_SUFFIX else read_archive(path, resolution, progress)
    elif not path.is_dir():
        raise DataError(f"{path}: no such data directory or file")
    else:
        split = read_idx(path) if is_idx(path) else read_folder(path, resolution, progress)
    height, width, _ = split.train.shape
    if resolution is not None and (height, width) != (resolution, resolution):
        raise DataError(f"{path}: its images are {height}x{width}, not {resolution}x{resolution}")
    return split
