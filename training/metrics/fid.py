"""The Frechet distance between two sets of features (Heusel et al., 2017)."""

import numpy as np
from numpy.typing import NDArray


def frechet_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of features float64 [n1, d] and [n2, d]; n1, n2 >= 2.

    The trace of the root is the sum of the roots of the eigenvalues of S1 S2, which are real and not negative; what
    rounding adds is cut off.
    """
    offset = first.mean(axis=0) - second.mean(axis=0)
    first_cov = np.atleast_2d(np.cov(first, rowvar=False))
    second_cov = np.atleast_2d(np.cov(second, rowvar=False))
    eigenvalues = np.linalg.eigvals(first_cov @ second_cov).real.clip(min=0)
    return float(offset @ offset + np.trace(first_cov) + np.trace(second_cov) - 2 * np.sqrt(eigenvalues).sum())
