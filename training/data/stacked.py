"""StackedMNIST: three grey digits in the colours of one image, so that there are 1000 modes (Metz et al., 2017)."""

from dataclasses import replace

import numpy as np

from training.data.sets import ImageSet, Split
from training.errors import DataError

STACKED = "stacked-"
"""What the names of stacked data sets begin with."""
PREFIX = "stacked:"
"""`stacked:PATH` names the stacked images of the data set at PATH."""


def stacked(split: Split, *, seed: int = 0) -> Split:
    """As many images as there are in either part, each of three that were drawn evenly; without classes.

    Raises DataError for images in colour.
    """
    if split.train.shape[2] != 1:
        raise DataError(f"{split.train.name}: only grey images can be stacked, and these are in colour")
    chance = np.random.default_rng(seed)
    return replace(split, train=_stack(split.train, chance), held_out=_stack(split.held_out, chance))


def _stack(images: ImageSet, chance: np.random.Generator) -> ImageSet:
    chosen = chance.integers(len(images), size=(3, len(images)))
    colours = np.concatenate([images.images[index] for index in chosen], axis=-1)
    return replace(images, name=STACKED + images.name, images=colours, labels=None, classes=None)
