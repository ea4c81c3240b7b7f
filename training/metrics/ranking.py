"""How well a score tells two groups apart, and how far a probability can be believed."""

import numpy as np
from numpy.typing import NDArray


def roc_auc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """The chance that a positive's score is above a negative's, ties counting half; scores float64 [n] and [m]."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).sum() / (2 * len(positive) * len(negative)))


def expected_calibration_error(probability: NDArray[np.float64], truth: NDArray[np.bool_], *, bins: int = 15) -> float:
    """Mean gap between stated probability and observed frequency over equal-width bins (Guo et al., 2017, eq. 3)."""
    which = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = 0.0
    for index in np.unique(which):
        chosen = which == index
        gap += chosen.mean() * abs(probability[chosen].mean() - truth[chosen].mean())
    return float(gap)
