"""The kernel inception distance between two sets of features (Binkowski et al., 2018)."""

import numpy as np
from numpy.typing import NDArray


def kernel_distance(
    first: NDArray[np.float64], second: NDArray[np.float64], *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation over `subsets` of the unbiased squared MMD under k(x, y) = (x.y / d + 1)^3.

    Features are float64 [n1, d] and [n2, d]; each subset draws `size` rows of either, or as many as the smaller set
    has. Unlike the Frechet distance it is not biased by the number of images, and may be slightly negative.
    """
    chance = np.random.default_rng(seed)
    rows = min(size, len(first), len(second))
    found = [
        _squared_mmd(
            first[chance.choice(len(first), rows, replace=False)],
            second[chance.choice(len(second), rows, replace=False)],
        )
        for _ in range(subsets)
    ]
    return float(np.mean(found)), float(np.std(found))


def _squared_mmd(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    count = len(first)
    within = sum((kernel.sum() - np.trace(kernel)) / (count * (count - 1)) for kernel in map(_kernel, (first, second)))
    return float(within - 2 * _kernel(first, second).mean())


def _kernel(first: NDArray[np.float64], second: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    other = first if second is None else second
    kernel: NDArray[np.float64] = (first @ other.T / first.shape[1] + 1) ** 3
    return kernel
