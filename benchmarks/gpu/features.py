"""What the service offers a GPU, and what each of it is worth: everything on, against everything but that one."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Feature:
    """A setting of the service, its value with the feature and without."""

    setting: str
    on: str
    off: str


FEATURES = {
    "IO binding (and with it CUDA graphs)": Feature("io_binding", "on", "off"),
    "CUDA graphs": Feature("cuda_graphs", "on", "off"),
    "batch buckets": Feature("batch_buckets", "on", "off"),
    "two batches in flight": Feature("sessions", "2", "1"),
}


def flags(*, without: str | None = None) -> tuple[str, ...]:
    """Flags of `ganserve serve` with all features on, but for the one of this name."""
    values = {one.setting: one.off if name == without else one.on for name, one in FEATURES.items()}
    return tuple(word for setting, value in values.items() for word in (f"--{setting.replace('_', '-')}", value))


@dataclass(frozen=True)
class Effect:
    """Images/s with and without: of one image a request on one connection, and of the best cell."""

    lone_with: float
    lone_without: float
    best_with: float
    best_without: float

    @classmethod
    def of(cls, on: Sequence[float], off: Sequence[float]) -> "Effect":
        """Of the same cells in the same order, the lone request first."""
        return cls(on[0], off[0], max(on), max(off))

    def __str__(self) -> str:
        lone, best = self.lone_with / max(self.lone_without, 1e-9), self.best_with / max(self.best_without, 1e-9)
        return (
            f"{lone:.2f}x for lone requests ({self.lone_with:.0f} images/s against {self.lone_without:.0f}), "
            f"{best:.2f}x at best ({self.best_with:.0f} against {self.best_without:.0f})"
        )
