"""Sets of images in memory, and their split into what is trained on and what is held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NAMED = 10


@dataclass(frozen=True)
class ImageSet:
    """Images of one size, in memory.

    `images` is uint8 [n, height, width, channels] with 1 (grey) or 3 (RGB) channels; `labels` is int64 [n] with
    values below len(classes), or None with `classes` None for a set without classes. `files` names the file that each
    image came from, where each had one of its own.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...] | None
    files: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels


@dataclass(frozen=True)
class Skipped:
    """An image that could not be read and is in neither set."""

    file: str
    reason: str


@dataclass(frozen=True)
class Split:
    """What the game trains on, and what it never sees until it is measured and calibrated.

    `skipped` lists the images that could not be read; `enlarged` counts those that were smaller than asked for.
    """

    train: ImageSet
    held_out: ImageSet
    skipped: tuple[Skipped, ...] = ()
    enlarged: int = 0


def tell_skipped(split: Split) -> str:
    """How many images were left out and which, in one line."""
    total = len(split.train) + len(split.held_out) + len(split.skipped)
    return f"{len(split.skipped)} of {total} images left out as unreadable: {name_skipped(split.skipped)}"


def name_skipped(skipped: Sequence[Skipped]) -> str:
    """The first ten skipped images with their reasons, and how many more there are, in one line."""
    named = ", ".join(f"{image.file} ({image.reason})" for image in skipped[:_NAMED])
    more = len(skipped) - _NAMED
    return f"{named} and {more} more" if more > 0 else named
