"""Whether one candidate is better than another: scores over rounds, their spread, and what disqualifies."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.bench.load import Outcome
from app.bench.statistics import geometric_mean, median

Round = Sequence[Outcome]
"""What one candidate did in one round: an outcome for each cell."""


def score(outcomes: Round) -> float:
    """Images/s over the cells of one round, as their geometric mean: no cell outweighs another by being faster."""
    return geometric_mean([outcome.images_per_s for outcome in outcomes])


def fault(rounds: Sequence[Round], *, p99_limit_ms: float | None) -> str | None:
    """Why a candidate cannot be chosen, whatever its score: errors, or a cell whose p99 is past the limit."""
    errors = sum(outcome.errors for outcomes in rounds for outcome in outcomes)
    if errors:
        return f"{errors} errors"
    if p99_limit_ms is not None:
        for cells in zip(*rounds, strict=True):
            p99_ms = median([outcome.p99_ms for outcome in cells])
            if p99_ms > p99_limit_ms:
                return f"p99 {p99_ms:.1f} ms at {cells[0].cell.connections} connections"
    return None


@dataclass(frozen=True)
class Comparison:
    """A candidate against the one to beat: the ratio of their scores in each round."""

    ratios: tuple[float, ...]

    @classmethod
    def of(cls, rounds: Sequence[Round], against: Sequence[Round]) -> "Comparison":
        """Pairs round with round, so that what slows the machine in one slows both. Raises ValueError for a mismatch.

        Where the one to beat scored 0, so that there is no ratio, anything above 0 is taken for twice as good.
        """
        pairs = [(score(mine), score(other)) for mine, other in zip(rounds, against, strict=True)]
        return cls(tuple(mine / other if other > 0 else 2.0 if mine > 0 else 1.0 for mine, other in pairs))

    @property
    def advantage(self) -> float:
        """By how much the candidate is faster, as a share: 0.1 is 10 %; the median over the rounds."""
        return median(self.ratios) - 1

    @property
    def spread(self) -> float | None:
        """How far the rounds lie apart, as a share; None for one round, which shows none."""
        return max(self.ratios) - min(self.ratios) if len(self.ratios) > 1 else None

    @property
    def wins(self) -> bool:
        """Whether the advantage is more than the rounds differ among themselves; with one round nobody can tell."""
        return self.spread is not None and self.advantage > max(self.spread, 0.0)
