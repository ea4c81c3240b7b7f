"""Batchers over engines that keep what they were given, and requests whose order is certain."""

import asyncio
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.batching import Batcher
from tests.fakes.engine import RecordingEngine, SilentObserver


class Batchers:
    """Makes batchers and remembers them, so that a fixture can close them."""

    def __init__(self) -> None:
        self.batchers: list[tuple[Batcher, tuple[RecordingEngine, ...]]] = []

    def __call__(self, *engines: RecordingEngine, **settings: Any) -> Batcher:  # noqa: ANN401 -- any setting
        kept: dict[str, Any] = {
            "max_batch_size": 8,
            "max_queue_delay_s": 0.0,
            "max_queue_images": 100,
            "observer": SilentObserver(),
        }
        batcher = Batcher(engines, **{**kept, **settings})
        self.batchers.append((batcher, engines))
        return batcher


def rows(*values: float) -> dict[str, NDArray[np.float32]]:
    return {"z": np.array(values, dtype=np.float32)[:, None]}


async def until_running(engine: RecordingEngine) -> None:
    """Wait until the engine has begun one more batch."""
    assert await asyncio.to_thread(engine.entered.acquire, timeout=10)


async def submitted(batcher: Batcher, *values: float, deadline: float | None = None) -> "asyncio.Task[list[float]]":
    """A request that is certain to be in the queue, or taken from it."""

    async def submit() -> list[float]:
        result = await batcher.submit(rows(*values), deadline=deadline)
        answers: list[float] = result.outputs["image"][:, 0].tolist()
        return answers

    task = asyncio.create_task(submit())
    await asyncio.sleep(0)  # the task runs up to its first wait, which is behind the queue
    return task


def shut_pair() -> tuple[RecordingEngine, RecordingEngine]:
    return RecordingEngine(gate_open=False), RecordingEngine(gate_open=False)


async def until_idle(batcher: Batcher, workers: int) -> None:
    """Wait until so many workers wait for work."""
    while batcher.idle_workers < workers:  # noqa: ASYNC110 -- nothing tells of it but the count
        await asyncio.sleep(0.001)
