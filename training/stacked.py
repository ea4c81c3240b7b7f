"""StackedMNIST: three grey digits in the colours of one image, so that there are 1000 modes (Metz et al., 2017)."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from training import data
from training.data import ImageSet, Split
from training.errors import DataError
from training.metrics.features import STACKED

PREFIX = "stacked:"


def load(path: Path, *, resolution: int | None = None) -> Split:
    """The data set at `path`, or, for `stacked:PATH`, the stacked images of the one at PATH; raises DataError."""
    if not str(path).startswith(PREFIX):
        return data.load(path, resolution=resolution)
    split = data.load(Path(str(path).removeprefix(PREFIX)), resolution=resolution)
    if split.train.shape[2] != 1:
        raise DataError(f"{path}: only grey images can be stacked, and these are in colour")
    return stacked(split)


def stacked(split: Split, *, seed: int = 0) -> Split:
    """As many images as there are in either part, each of three that were drawn evenly; without classes."""
    chance = np.random.default_rng(seed)
    return Split(_stack(split.train, chance), _stack(split.held_out, chance))


def _stack(images: ImageSet, chance: np.random.Generator) -> ImageSet:
    chosen = chance.integers(len(images), size=(3, len(images)))
    colours = np.concatenate([images.images[index] for index in chosen], axis=-1)
    return replace(images, name=STACKED + images.name, images=colours, labels=None, classes=None)
