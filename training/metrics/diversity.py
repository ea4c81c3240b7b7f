"""Whether generated images are as various as real ones, look like them one by one, and are no copies of them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool2d

from training.data import ImageSet, Split
from training.metrics.features import AnyExtractor

SIDE = 16
"""Pixels that images are averaged down to where no extractor describes them, and where copies are looked for."""
MODES = 50
PER_MODE = 20
"""Training images per mode at least, so that small sets have fewer modes."""
FITTED = 5000
"""Training images that modes are looked for in."""
REACHED = 0.1
"""A mode is reached by this part of the images that its share of the training set would let expect."""
PAIRED = 500
"""Images that are compared with each other."""
NEIGHBOURS = 50
"""Training images that a nearest one is compared with (Carlini et al., 2023, section 4.2, n)."""
ODD_ONES = 0.01
"""Share of real images that are let pass as odd, at either end of a scale."""


@dataclass(frozen=True)
class Diversity:
    """Figures of generated images; `*_of_real` is what held-out real ones reach under the same measurement.

    `coverage` is the share of `modes` clusters of training images that are reached, `spread` the mean distance of two
    images over that of two real ones, `plausible` the share of images whose contrast and roughness real images have
    too, `copied` the share that are closer to one training image, compared with its next neighbours, than 99 in 100
    held-out ones. `space` says what clusters and distances are taken in.
    """

    coverage: float
    coverage_of_real: float
    modes: int
    spread: float
    plausible: float
    copied: float
    images: int
    space: str


def measure_diversity(made: NDArray[np.uint8], split: Split, extractor: AnyExtractor | None) -> Diversity:
    """Compare `made`, uint8 [n, height, width, channels], with both parts of the data set it is to be like."""
    train, held_out = split.train, split.held_out
    described, real = _describe(made, extractor), _describe(held_out.images, extractor)
    centres, shares = _modes(_describe(train.images[:FITTED], extractor))
    return Diversity(
        coverage=_coverage(described, centres, shares),
        coverage_of_real=_coverage(real, centres, shares),
        modes=len(centres),
        spread=_mean_distance(described) / max(_mean_distance(real), 1e-12),
        plausible=_plausible(made, train.images),
        copied=_copied(made, train, held_out),
        images=len(made),
        space=f"pixels averaged to {SIDE}x{SIDE}" if extractor is None else "the extractor's features",
    )


def _describe(images: NDArray[np.uint8], extractor: AnyExtractor | None) -> NDArray[np.float64]:
    return _small(images) if extractor is None else extractor(images)[0]


def _small(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """uint8 [n, h, w, c] -> float64 [n, 256 c] in [0, 1], averaged down."""
    parts = []
    for start in range(0, len(images), 2000):
        pixels = torch.from_numpy(images[start : start + 2000]).permute(0, 3, 1, 2).float() / 255
        parts.append(adaptive_avg_pool2d(pixels, SIDE).flatten(1).double().numpy())
    return np.concatenate(parts)


def _modes(described: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres float64 [k, d] of clusters and their shares float64 [k]: Lloyd's k-means from k-means++ starts."""
    chance = np.random.default_rng(0)
    count = min(MODES, max(len(described) // PER_MODE, 2), len(described))
    centres = described[[chance.integers(len(described))]]
    while len(centres) < count:
        nearest = _squared_distances(described, centres).min(axis=1)
        total = nearest.sum()
        weights = nearest / total if total > 0 else None
        centres = np.concatenate([centres, described[[chance.choice(len(described), p=weights)]]])
    for _ in range(20):
        which = _squared_distances(described, centres).argmin(axis=1)
        kept = np.unique(which)
        centres = np.stack([described[which == mode].mean(axis=0) for mode in kept])
    which = _squared_distances(described, centres).argmin(axis=1)
    return centres, np.bincount(which, minlength=len(centres)) / len(described)


def _coverage(described: NDArray[np.float64], centres: NDArray[np.float64], shares: NDArray[np.float64]) -> float:
    which = _squared_distances(described, centres).argmin(axis=1)
    found = np.bincount(which, minlength=len(centres))
    return float((found >= np.maximum(REACHED * shares * len(described), 1)).mean())


def _mean_distance(described: NDArray[np.float64]) -> float:
    """Of two different ones among the first 500."""
    some = described[:PAIRED]
    distances = np.sqrt(_squared_distances(some, some))
    np.fill_diagonal(distances, 0)  # rounding leaves a little there
    return float(distances.sum() / max(len(some) * (len(some) - 1), 1))


def _plausible(made: NDArray[np.uint8], real: NDArray[np.uint8]) -> float:
    """Statistics that every image has alone, so that few different images can still be plausible ones."""
    found, usual = _statistics(made), _statistics(real)
    low, high = np.quantile(usual, [ODD_ONES, 1 - ODD_ONES], axis=0)
    return float(((found >= low) & (found <= high)).all(axis=1).mean())


def _statistics(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Contrast, the deviation of an image's values, and roughness, its neighbours' mean difference; float64 [n, 2]."""
    parts = []
    for start in range(0, len(images), 2000):
        values = images[start : start + 2000].astype(np.float32)
        down, across = np.abs(np.diff(values, axis=1)), np.abs(np.diff(values, axis=2))
        roughness = down.mean(axis=(1, 2, 3)) + across.mean(axis=(1, 2, 3))
        parts.append(np.stack([values.std(axis=(1, 2, 3)), roughness], axis=1).astype(np.float64))
    return np.concatenate(parts)


def _copied(made: NDArray[np.uint8], train: ImageSet, held_out: ImageSet) -> float:
    known = _small(train.images)
    usual = np.quantile(_nearness(_small(held_out.images[: len(made)]), known), ODD_ONES)
    return float((_nearness(_small(made), known) < usual).mean())


def _nearness(described: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance to the nearest known image over the mean of those to the next ones, float64 [n].

    Set beside the next neighbours, a blurred image, which is close to many, is no copy of one.
    """
    count = min(NEIGHBOURS + 1, len(known))
    parts = []
    for start in range(0, len(described), 250):
        distances = np.sqrt(_squared_distances(described[start : start + 250], known))
        nearest = np.sort(np.partition(distances, count - 1, axis=1)[:, :count], axis=1)
        parts.append(nearest[:, 0] / np.maximum(nearest[:, 1:].mean(axis=1), 1e-12))
    return np.concatenate(parts)


def _squared_distances(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    products = first @ second.T
    sums = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None]
    return np.asarray((sums - 2 * products).clip(min=0))
