"""Measurements as they come in, kept after each one, and what they say when put together."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.bare import Limit
from benchmarks.plan import Cell
from benchmarks.statistics import Spread, paired_ratios
from benchmarks.systems import OURS
from benchmarks.tally import Summary


@dataclass(frozen=True)
class Measurement:
    """One cell of one system in one alternation."""

    alternation: int
    system: str
    cell: Cell
    summary: Summary


@dataclass
class Results:
    """All that one run found."""

    machine: dict[str, Any]
    command: str
    titles: dict[str, str]
    variants: dict[str, dict[str, str]] = field(default_factory=dict)
    """Per model, per system: the configuration it was measured with, in words."""
    tuning: list[dict[str, Any]] = field(default_factory=list)
    parity: dict[str, dict[str, int]] = field(default_factory=dict)
    """Per model, per system: the most grey levels that its images differ from ours."""
    limits: list[dict[str, Any]] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    memory: list[dict[str, Any]] = field(default_factory=list)
    """Per alternation, model and system: peak resident and proportional bytes of the process tree."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    proof: list[dict[str, Any]] = field(default_factory=list)
    """The load generator against a static route."""

    def save(self, path: Path) -> None:
        """Write everything as JSON, replacing the file in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        new.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Results":
        """What `save` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        measurements = [
            Measurement(one["alternation"], one["system"], Cell(**one["cell"]), Summary(**one["summary"]))
            for one in data.pop("measurements")
        ]
        return cls(**data, measurements=measurements)

    def add_limits(self, alternation: int, model: str, limits: Iterable[Limit]) -> None:
        """The bare session's figures of one alternation."""
        self.limits += [{"alternation": alternation, "model": model, **asdict(limit)} for limit in limits]

    def cells(self) -> list[Cell]:
        """Every measured cell, in order."""
        return list(dict.fromkeys(one.cell for one in self.measurements))

    def of(self, cell: Cell, system: str) -> dict[int, Summary]:
        """A system's summaries of a cell by alternation."""
        return {one.alternation: one.summary for one in self.measurements if (one.cell, one.system) == (cell, system)}

    def throughput(self, cell: Cell, system: str) -> Spread | None:
        """Images a second over the alternations; None where it was not measured."""
        rates = [summary.images_per_s for summary in self.of(cell, system).values()]
        return Spread.of(rates) if rates else None

    def ratio(self, cell: Cell, other: str) -> Spread | None:
        """Our throughput over another's, paired by alternation; None where no pair says anything."""
        ours, theirs = self.of(cell, OURS), self.of(cell, other)
        both = sorted(ours.keys() & theirs.keys())
        return _spread(paired_ratios([ours[n].images_per_s for n in both], [theirs[n].images_per_s for n in both]))

    def ratio_to_limit(self, cell: Cell, image_format: str) -> Spread | None:
        """Our images a second over the bare session's best of the same alternation; "none" is without encoding."""
        ours = self.of(cell, OURS)
        best: dict[int, float] = {}
        for one in self.limits:
            if (one["model"], one["image_format"]) == (cell.model, image_format):
                best[one["alternation"]] = max(best.get(one["alternation"], 0.0), one["images_per_s"])
        both = sorted(ours.keys() & best.keys())
        return _spread(paired_ratios([ours[n].images_per_s for n in both], [best[n] for n in both]))


def _spread(values: Sequence[float]) -> Spread | None:
    return Spread.of(values) if values else None
