"""Real engines whose answers are spoiled on the way out."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from app.engines.base import Arrays, Engine
from app.engines.onnx import open_engine

Spoil = Callable[[NDArray[Any]], NDArray[Any]]


class SpoiledEngine:
    """An engine one of whose outputs passes through `spoil` while `armed`."""

    def __init__(self, engine: Engine, output: str, spoil: Spoil, *, armed: bool, provider: str | None) -> None:
        self._engine = engine
        self._output = output
        self._spoil = spoil
        self.armed = armed
        self.provider = provider or engine.provider
        self.batch_sizes: list[int] = []
        self.closed = False

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See Engine."""
        self.batch_sizes.append(len(next(iter(inputs.values()))))
        outputs = self._engine.run(inputs)
        if self.armed and self._output in outputs:
            outputs[self._output] = self._spoil(outputs[self._output])
        return outputs

    def close(self) -> None:
        """See Engine."""
        self.closed = True
        self._engine.close()


class SpoiledEngines:
    """Opens engines that are spoiled alike and remembers them; `provider` is what they say they run on."""

    def __init__(self, output: str, spoil: Spoil, *, armed: bool = True, provider: str | None = None) -> None:
        self._output, self._spoil, self._armed, self._provider = output, spoil, armed, provider
        self.opened: list[SpoiledEngine] = []
        self.devices: list[str] = []

    def __call__(self, model: bytes, *, device: str, threads: int) -> Engine:
        """See OpenEngine."""
        self.devices.append(device)
        engine = open_engine(model, device="cpu" if self._provider else device, threads=threads)
        self.opened.append(SpoiledEngine(engine, self._output, self._spoil, armed=self._armed, provider=self._provider))
        return self.opened[-1]
