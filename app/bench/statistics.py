"""Percentiles of one run; medians and geometric means of several."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `share` (0..1) of the values do not exceed.

    Raises ValueError for no values.
    """
    if not values:
        raise ValueError("a percentile needs at least one value")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle. Raises ValueError for no values."""
    if not values:
        raise ValueError("a median needs at least one value")
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def geometric_mean(values: Sequence[float]) -> float:
    """The mean under which twice as much of one weighs as half as much of another; 0 where any value is 0.

    Raises ValueError for no values.
    """
    if not values:
        raise ValueError("a mean needs at least one value")
    return math.exp(sum(map(math.log, values)) / len(values)) if min(values) > 0 else 0.0
