"""What of a device's abilities is used, so that each can be switched off and its effect measured."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.engines.capture import CaptureGate
from app.settings import Settings

Switch = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class Acceleration:
    """The settings of the same names, and the gate that all engines made with them share. `auto` is on for a GPU."""

    max_batch_size: int = 64
    io_binding: Switch = "auto"
    batch_buckets: Switch = "auto"
    cuda_graphs: bool = True
    tensorrt: Literal["off", "on", "fp16"] = "off"
    cache_dir: Path | None = None
    gate: CaptureGate = field(default_factory=CaptureGate)

    @classmethod
    def of(cls, settings: Settings) -> "Acceleration":
        """As the settings say."""
        return cls(
            max_batch_size=settings.max_batch_size,
            io_binding=settings.io_binding,
            batch_buckets=settings.batch_buckets,
            cuda_graphs=settings.cuda_graphs,
            tensorrt=settings.tensorrt,
            cache_dir=settings.cache_dir,
        )
