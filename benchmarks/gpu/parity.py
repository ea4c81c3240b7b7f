"""Whether a device makes the images that the CPU makes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.engines.base import Engine
from app.engines.onnx import open_engine
from benchmarks.peers.work import feed
from bundle import Bundle, read_bundle

Device = Literal["cuda", "cpu"]
_BATCH = 32


@dataclass(frozen=True)
class Parity:
    """Pixels of the same seeds on both providers."""

    provider: str
    images: int
    most_grey_levels_apart: int
    equal_pixels_share: float
    allowed_grey_levels: int

    @property
    def kept(self) -> bool:
        """Whether the bundle's own tolerance holds."""
        return self.most_grey_levels_apart <= self.allowed_grey_levels


def parity(path: Path, *, device: Device, seeds: Sequence[int]) -> Parity:
    """Compare `device` with the CPU. Raises ProviderUnavailable when the device is not really there."""
    found = read_bundle(path)
    there, here = (open_engine(found.generator, device=which, threads=0) for which in (device, "cpu"))
    most = equal = pixels = 0
    for at in range(0, len(seeds), _BATCH):
        first, second = (_images(engine, found, seeds[at : at + _BATCH]) for engine in (there, here))
        apart = np.abs(first.astype(np.int16) - second.astype(np.int16))
        most, equal, pixels = max(most, int(apart.max())), equal + int((apart == 0).sum()), pixels + apart.size
    return Parity(there.provider, len(seeds), most, equal / pixels, found.manifest.golden.tolerance)


def _images(engine: Engine, found: Bundle, seeds: Sequence[int]) -> NDArray[np.uint8]:
    return engine.run(feed(found.manifest, seeds))["image"]
