"""Precision, recall (Kynkaanniemi et al., 2019), density and coverage (Naeem et al., 2020): quality, variety."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1000


@dataclass(frozen=True)
class Prdc:
    """`precision`: share of generated images inside the real manifold. `recall`: share of real ones inside the
    generated manifold. `density`: by how many real neighbourhoods a generated image is covered, over k; may pass 1.
    `coverage`: share of real images that have a generated one in their neighbourhood.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: NDArray[np.float64], fake: NDArray[np.float64], *, k: int = 5) -> Prdc:
    """Of features float64 [n, d] and [m, d]; a neighbourhood reaches to the k-th nearest of the same set, itself not
    counted. Both sets need more than k rows.

    A neighbourhood is open, as in the definitions: a point on its edge is outside. Memory is that of 1000 rows of
    distances at a time.
    """
    real_radius, fake_radius = _radii(real, k), _radii(fake, k)
    in_real = np.zeros(len(fake))
    in_fake = np.zeros(len(real), dtype=bool)
    covered = np.zeros(len(real), dtype=bool)
    for start in range(0, len(real), _CHUNK):
        rows = slice(start, start + _CHUNK)
        apart = _distances(real[rows], fake)
        inside = apart < real_radius[rows, None]
        in_real += inside.sum(axis=0)
        covered[rows] = inside.any(axis=1)
        in_fake[rows] = (apart < fake_radius[None]).any(axis=1)
    return Prdc(
        precision=float((in_real > 0).mean()),
        recall=float(in_fake.mean()),
        density=float(in_real.mean() / k),
        coverage=float(covered.mean()),
    )


def _radii(features: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """The distance of each row to its k-th nearest other one."""
    if len(features) <= k:
        raise ValueError(f"{len(features)} images have no {k} neighbours each")
    radii = [
        np.partition(_distances(features[start : start + _CHUNK], features), k, axis=1)[:, k]
        for start in range(0, len(features), _CHUNK)
    ]
    return np.concatenate(radii)


def _distances(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean, float64 [n, m]; a row from itself is at most rounding away from 0."""
    squared = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None] - 2 * first @ second.T
    apart: NDArray[np.float64] = np.sqrt(np.maximum(squared, 0.0))
    return apart
