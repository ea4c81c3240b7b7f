"""Medians and spreads of many runs, beside the percentiles of one."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.bench.statistics import median, percentile

__all__ = ["Spread", "median", "paired_ratios", "percentile"]


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Raises ValueError for no values."""
        return cls(median(values), min(values), max(values), len(values))


def paired_ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours over theirs, alternation by alternation; pairs with a zero on either side say nothing and are left out.

    Raises ValueError when the two differ in length.
    """
    return [mine / other for mine, other in zip(ours, theirs, strict=True) if mine > 0 and other > 0]
