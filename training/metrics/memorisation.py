"""Whether a generator repeats its training images: nearest neighbours in feature space (after Meehan et al., 2020)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CHUNK = 500


@dataclass(frozen=True)
class Nearest:
    """For each row asked about, the training row nearest to it, int64 [n], and how far it is, float64 [n]."""

    index: NDArray[np.int64]
    distance: NDArray[np.float64]


def nearest(features: NDArray[np.float64], training: NDArray[np.float64]) -> Nearest:
    """The nearest of `training` float64 [m, d] to each of `features` float64 [n, d], by Euclidean distance."""
    lengths = (training**2).sum(axis=1)
    index, distance = [], []
    for start in range(0, len(features), _CHUNK):
        rows = features[start : start + _CHUNK]
        squared = lengths[None] - 2 * rows @ training.T
        best = squared.argmin(axis=1)
        index.append(best)
        distance.append(np.sqrt(((rows - training[best]) ** 2).sum(axis=1)))
    return Nearest(np.concatenate(index), np.concatenate(distance))


def memorised_share(fake: Nearest, held_out: Nearest, *, quantile: float = 0.01) -> float:
    """The share of generated images nearer to a training image than the nearest `quantile` of held-out real ones.

    A generator that draws from the distribution of the data scores about `quantile`; one that repeats its training
    images scores near 1.
    """
    return float((fake.distance < np.quantile(held_out.distance, quantile)).mean())
