"""The search: one setting after the other, candidates in turn with the one to beat, and a last look at the winner."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.bench.candidates import DEFAULTS, Candidate
from app.bench.verdict import Comparison, Round, fault, score
from app.errors import StartupError

Step = tuple[str, Callable[[Candidate], list[Candidate]]]
"""What a step is about, and the candidates that it sets against the best so far."""


@dataclass(frozen=True)
class Tried:
    """A candidate beside the one to beat: what it did in each round, and why it is out where it is."""

    candidate: Candidate
    rounds: tuple[Round, ...]
    comparison: Comparison | None
    fault: str | None
    won: bool = False


@dataclass(frozen=True)
class Stage:
    """One step of the search; the first tried is the one to beat."""

    name: str
    tried: tuple[Tried, ...]


@dataclass
class Search:
    """Finds settings by `measure`, which runs a service with a candidate once and raises StartupError where it cannot.

    Every step measures its candidates in alternation for `rounds` rounds, another one first each time.
    """

    measure: Callable[[Candidate], Round]
    rounds: int
    p99_limit_ms: float | None = None
    say: Callable[[str], None] = lambda _: None
    stages: list[Stage] = field(default_factory=list)

    def run(self, steps: Sequence[Step]) -> Candidate:
        """The best settings found, or DEFAULTS where nothing beat them by more than the rounds differ.

        Raises StartupError when the best so far, the defaults at first, do not start, or answer no request well.
        """
        best = DEFAULTS
        for name, candidates in steps:
            others = candidates(best)
            if others:
                best = self._stage(name, best, others)
        if best != DEFAULTS:
            # The best of several is partly luck: it has to show again that it is better.
            best = self._stage("the winner again", DEFAULTS, [best])
        return best

    def _stage(self, name: str, best: Candidate, others: Sequence[Candidate]) -> Candidate:
        self.say(f"{name}: {best} against {', '.join(map(str, others))}")
        line = [best, *others]
        measured: list[list[Round]] = [[] for _ in line]
        broken: dict[int, str] = {}
        for number in range(self.rounds):
            for index in (*range(number % len(line), len(line)), *range(number % len(line))):
                if index in broken:
                    continue
                try:
                    measured[index].append(self.measure(line[index]))
                except StartupError as error:
                    if index == 0:
                        raise
                    broken[index] = str(error)
                    self.say(f"  {line[index]}: {error}")
                    continue
                self.say(f"  round {number + 1}: {line[index]}: {score(measured[index][-1]):.0f} images/s")
                _require_answers(line[index], measured[index][-1])
        stage = Stage(name, _judge(line, measured, broken, self.p99_limit_ms))
        self.stages.append(stage)
        return next(tried.candidate for tried in stage.tried if tried.won)


def _require_answers(candidate: Candidate, outcomes: Round) -> None:
    """Stop at once where even the defaults fail, as for a model that is not there, rather than some minutes later."""
    if candidate == DEFAULTS and not any(outcome.good for outcome in outcomes):
        statuses = ", ".join(f"{status}: {count}" for status, count in outcomes[0].statuses.items())
        raise StartupError(f"no request was answered well ({statuses or 'no answer at all'})")


def _judge(
    line: Sequence[Candidate], measured: Sequence[list[Round]], broken: dict[int, str], p99_limit_ms: float | None
) -> tuple[Tried, ...]:
    faults = [broken.get(index) or fault(rounds, p99_limit_ms=p99_limit_ms) for index, rounds in enumerate(measured)]
    comparisons = [
        Comparison.of(rounds, measured[0]) if index and index not in broken else None
        for index, rounds in enumerate(measured)
    ]
    # One that may not be chosen beats nobody: then the fastest that may be is better than it.
    able = [
        index
        for index, comparison in enumerate(comparisons)
        if comparison is not None and faults[index] is None and (comparison.wins or faults[0] is not None)
    ]
    won = max(able, key=lambda index: _advantage(comparisons[index]), default=0)
    return tuple(
        Tried(candidate, tuple(measured[index]), comparisons[index], faults[index], won=index == won)
        for index, candidate in enumerate(line)
    )


def _advantage(comparison: Comparison | None) -> float:
    return comparison.advantage if comparison is not None else 0.0


def trials(steps: Sequence[Step], rounds: int) -> int:
    """How many times a search measures, one more or less where another candidate than the defaults leads."""
    counts = [len(candidates(DEFAULTS)) for _, candidates in steps]
    return rounds * (sum(count + 1 for count in counts if count) + 2)
