"""Engines that tests hold in their hands: they record, block, and fail when told to."""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engines.base import Arrays


class RecordingEngine:
    """Answers z with `image` = z * 10 and remembers the batches; blocks in `run` while the gate is shut."""

    provider = "FakeExecutionProvider"

    def __init__(self, *, gate_open: bool = True) -> None:
        self.batches: list[list[float]] = []
        self.threads: list[str] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.closed = False
        self.fail_with: BaseException | None = None
        self.lose_a_row = False
        if gate_open:
            self.gate.set()

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See Engine."""
        z = inputs["z"]
        self.batches.append(z[:, 0].tolist())
        self.threads.append(threading.current_thread().name)
        self.entered.release()
        self.gate.wait(30)
        if self.fail_with is not None:
            raise self.fail_with
        images = z * np.float32(10)
        return {"image": images[:-1] if self.lose_a_row else images}

    def close(self) -> None:
        """See Engine."""
        self.closed = True


class SilentObserver:
    """Counts the rows of the batches it hears of."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def batch_done(self, *, rows: int, inference_s: float) -> None:
        """See BatchObserver."""
        assert inference_s >= 0
        self.rows.append(rows)
