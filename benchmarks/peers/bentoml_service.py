"""BentoML: one service, or with adaptive batching a front service before a batching one, as its guides have it."""

from typing import Annotated, Any

import bentoml
import numpy as np
from bentoml.validators import ContentType
from numpy.typing import NDArray

from benchmarks.peers.settings import PeerSettings
from benchmarks.peers.work import Work, reply

_SETTINGS = PeerSettings.from_environment()
_TRAFFIC = {"timeout": 120, "max_concurrency": 100_000}
_MOST_ROWS = max(2, _SETTINGS.max_batch_size)  # BentoML takes no 1, also where this service is not the one started
_LOGGING = {"access": {"enabled": False}}
Body = Annotated[bytes, ContentType("application/octet-stream")]


@bentoml.service(workers=_SETTINGS.workers, traffic=_TRAFFIC, logging=_LOGGING, threads=8)
class Whole:
    """Everything in one process, without batching."""

    def __init__(self) -> None:
        self._work = Work(_SETTINGS.bundle, threads=_SETTINGS.threads)

    @bentoml.api(route="/generate")
    def generate(self, seeds: list[int], format: str = "png") -> Body:  # noqa: A002 -- the request's own word
        """Seeds -> a file."""
        return reply(self._work.run(self._work.inputs(seeds)), format).body


@bentoml.service(workers=_SETTINGS.workers, traffic=_TRAFFIC, logging=_LOGGING)
class Generator:
    """The network, in batches of rows."""

    def __init__(self) -> None:
        self._work = Work(_SETTINGS.bundle, threads=_SETTINGS.threads)

    @bentoml.api(batchable=True, max_batch_size=_MOST_ROWS, max_latency_ms=60_000)
    def rows(self, seeds: NDArray[np.int64]) -> NDArray[np.uint8]:
        """int64 [n] -> uint8 [n, height, width, channels]."""
        return self._work.run(self._work.inputs(seeds.tolist()))


@bentoml.service(workers=_SETTINGS.workers, traffic=_TRAFFIC, logging=_LOGGING)
class Front:
    """HTTP and files in front of the network."""

    generator: Any = bentoml.depends(Generator)

    @bentoml.api(route="/generate")
    async def generate(self, seeds: list[int], format: str = "png") -> Body:  # noqa: A002 -- the request's own word
        """Seeds -> a file."""
        rows = await self.generator.to_async.rows(np.asarray(seeds, np.int64))
        return reply(np.asarray(rows, np.uint8), format).body
