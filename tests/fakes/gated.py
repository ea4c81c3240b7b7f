"""Real engines behind one gate, that tell when they are at work and when they are closed."""

import threading
from typing import Any

from numpy.typing import NDArray

from app.engines.base import Arrays, Engine
from app.engines.onnx import open_engine


class GatedEngine:
    """Blocks in `run` while the gate is shut; closing it twice is a mistake."""

    def __init__(self, engine: Engine, gate: threading.Event, entered: threading.Semaphore) -> None:
        self._engine = engine
        self._gate = gate
        self._entered = entered
        self.provider = engine.provider
        self.closed = threading.Event()

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See Engine."""
        if not self._gate.is_set():
            self._entered.release()
        assert self._gate.wait(30)
        return self._engine.run(inputs)

    def close(self) -> None:
        """See Engine."""
        assert not self.closed.is_set()
        self._engine.close()
        self.closed.set()


class GatedEngines:
    """Opens gated engines and remembers them, or raises `fail_with`; `entered` counts the runs that met a shut gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.opened: list[GatedEngine] = []
        self.fail_with: Exception | None = None
        self.refused = 0

    def __call__(self, model: bytes, *, device: str, threads: int) -> Engine:
        """See OpenEngine."""
        if self.fail_with is not None:
            self.refused += 1
            raise self.fail_with
        self.opened.append(GatedEngine(open_engine(model, device=device, threads=threads), self.gate, self.entered))
        return self.opened[-1]
