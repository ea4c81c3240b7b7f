"""Which cells are measured: model x images a request x format x connections."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.orders import Format

PlanName = Literal["quick", "headline", "full"]
MODELS = ("mnist", "rgb256")
MOST_OUTSTANDING = {"mnist": 2048, "rgb256": 256}
"""Images that all connections together may wait for: the service's queue for the small model, and for the large one
what two cores make well within a request's deadline. Beyond lie refusals, which `benchmarks.overload` measures."""


@dataclass(frozen=True)
class Cell:
    """One thing to measure."""

    model: str
    images: int
    image_format: Format
    connections: int

    @property
    def label(self) -> str:
        """In words."""
        return f"{self.model}, {self.images} x {self.image_format}, {self.connections} connections"

    @property
    def outstanding(self) -> int:
        """Images asked for at once."""
        return self.images * self.connections


def cells(
    models: Sequence[str], images: Sequence[int], formats: Sequence[Format], connections: Sequence[int]
) -> list[Cell]:
    """All combinations that fit under MOST_OUTSTANDING, model by model."""
    every = [Cell(m, n, f, c) for m in models for f in formats for n in images for c in connections]
    return [cell for cell in every if cell.outstanding <= MOST_OUTSTANDING.get(cell.model, 2048)]


def plan(name: PlanName, models: Sequence[str]) -> list[Cell]:
    """The cells of a named plan.

    `headline` is one PNG a request at every number of connections; `full` adds 4 and 64 images a request, and JPEG and
    NPY, less of them for the large model, whose figures take longer; `quick` shows that everything works and measures
    nothing.
    """
    if name == "quick":
        return cells(models, [1, 4], ["png"], [4]) + cells(models, [4], ["jpeg", "npy"], [2])
    if name == "headline":
        return cells(models, [1], ["png"], [1, 16, 64, 256])
    small = [model for model in models if model != "rgb256"]
    chosen = [
        *cells(models, [1], ["png"], [1, 16, 64, 256]),
        *cells(small, [4], ["png"], [1, 16, 64, 256]),
        *cells(models, [4], ["png"], [16]),
        *cells(models, [64], ["png", "npy"], [1, 16]),
        *cells(models, [1], ["jpeg", "npy"], [16]),
        *cells(small, [64], ["jpeg"], [16]),
    ]
    return sorted(dict.fromkeys(chosen), key=lambda cell: MODELS.index(cell.model))
