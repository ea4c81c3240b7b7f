"""What was measured, as tables for people."""

from collections.abc import Sequence

from app.bench.load import Outcome
from app.bench.search import Stage, Tried
from app.bench.statistics import median
from app.bench.verdict import score


def loads(outcomes: Sequence[Outcome]) -> str:
    """A row for each cell; what had no 2xx answer is told by status."""
    rows = [["connections", "images", "requests/s", "images/s", "p50 ms", "p90 ms", "p99 ms", "errors"]]
    for outcome in outcomes:
        latencies = (outcome.p50_ms, outcome.p90_ms, outcome.p99_ms)
        rows.append(
            [
                str(outcome.cell.connections),
                str(outcome.cell.images),
                f"{outcome.requests_per_s:.0f}",
                f"{outcome.images_per_s:.0f}",
                *(f"{value:.2f}" if outcome.good else "-" for value in latencies),
                _errors(outcome),
            ]
        )
    return _aligned(rows)


def _errors(outcome: Outcome) -> str:
    kinds = [f"{status}: {count}" for status, count in outcome.statuses.items() if not status.startswith("2")]
    return f"{outcome.errors} ({', '.join(kinds)})" if kinds else "0"


def stages(found: Sequence[Stage]) -> str:
    """A table for each step of a search: medians of images/s in each cell, the score, and how candidates compare."""
    return "\n\n".join(f"{stage.name}\n{_stage(stage)}" for stage in found)


def _stage(stage: Stage) -> str:
    cells = [outcome.cell for outcome in stage.tried[0].rounds[0]]
    heads = [f"{cell.connections}x{cell.images}" for cell in cells]
    rows = [["settings", *heads, "score", "against the first", ""]]
    for tried in stage.tried:
        rates = [median([outcome.images_per_s for outcome in across]) for across in zip(*tried.rounds, strict=True)]
        shown = [f"{rate:.0f}" for rate in rates] or ["-"] * len(cells)
        scored = f"{median([score(one) for one in tried.rounds]):.0f}" if tried.rounds else "-"
        rows.append([str(tried.candidate), *shown, scored, _compared(tried), _verdict(tried)])
    return _aligned(rows, left=(0, len(rows[0]) - 1))


def _compared(tried: Tried) -> str:
    return "" if tried.comparison is None else compared(tried.comparison.ratios)


def compared(ratios: Sequence[float]) -> str:
    """Ratios over the rounds as `+5 % (+3 to +8)`."""
    middle, least, most = (round(100 * (value - 1)) for value in (median(ratios), min(ratios), max(ratios)))
    return f"{middle:+d} % ({least:+d} to {most:+d})"


def _verdict(tried: Tried) -> str:
    if tried.won:
        if tried.comparison is not None:
            return "wins"
        return "stands" if tried.fault is None else f"stands, for want of another: {tried.fault}"
    if tried.fault is not None:
        return f"out: {tried.fault}"
    if tried.comparison is None or tried.comparison.advantage <= 0 or tried.comparison.wins:
        return ""
    return "one round cannot tell" if tried.comparison.spread is None else "within the spread"


def _aligned(rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
