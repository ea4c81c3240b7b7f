"""Whether a device makes the images that the CPU makes."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.engines.acceleration import Acceleration
from app.engines.base import Engine
from app.engines.bound import BoundEngine
from app.engines.cuda import open_on_gpu
from app.engines.onnx import open_engine
from benchmarks.peers.work import feed
from bundle import Bundle, read_bundle

Device = Literal["cuda", "cpu"]
_BATCHES = (32, 1, 5)
"""In turn: full buckets and padded ones, each size captured once and replayed after."""


@dataclass(frozen=True)
class Parity:
    """Pixels of the same seeds on both providers."""

    provider: str
    cuda_graphs: bool
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
    there, here = _accelerated(found.generator, device), open_engine(found.generator, device="cpu", threads=0)
    most = equal = pixels = at = 0
    sizes = itertools.cycle(_BATCHES)
    while at < len(seeds):
        batch = seeds[at : at + next(sizes)]
        at += len(batch)
        first, second = (_images(engine, found, batch) for engine in (there, here))
        apart = np.abs(first.astype(np.int16) - second.astype(np.int16))
        most, equal, pixels = max(most, int(apart.max())), equal + int((apart == 0).sum()), pixels + apart.size
    tolerance, graphs = found.manifest.golden.tolerance, there.uses_graphs
    there.close()
    return Parity(there.provider, graphs, len(seeds), most, equal / pixels, tolerance)


def _accelerated(graph: bytes, device: Device) -> BoundEngine:
    """What the service runs on the device, with all that it offers a GPU."""
    chosen = Acceleration(max_batch_size=max(_BATCHES), io_binding="on", batch_buckets="on")
    # Opened as the service does it, with all its checks.
    engine = open_engine(graph, device=device, threads=0, acceleration=chosen)
    if isinstance(engine, BoundEngine):
        return engine
    engine.close()
    return open_on_gpu(graph, chosen)


def _images(engine: Engine, found: Bundle, seeds: Sequence[int]) -> NDArray[np.uint8]:
    return engine.run(feed(found.manifest, seeds))["image"]
