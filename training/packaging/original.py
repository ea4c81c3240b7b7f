"""The graph as it came, run as it wants to be run: what the packaged graph is held against."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from training.errors import PackageError
from training.packaging.source import first_line
from training.players import open_session

Rows = Mapping[str, NDArray[Any]]
"""Values of a graph's inputs, each with one row per image."""


class Original:
    """A graph in ONNX Runtime that is given as many rows at once as it can take.

    `batch` is the only batch size it takes, or None for any; `scalars` are the shapes of inputs that hold one value for
    the whole batch: where rows differ in it, they are run one by one. Raises PackageError when ONNX Runtime cannot load
    the graph.
    """

    def __init__(self, model: onnx.ModelProto, *, batch: int | None, scalars: Mapping[str, tuple[int, ...]]) -> None:
        self.batch = batch
        self._scalars = dict(scalars)
        try:
            self._session = open_session(model.SerializeToString())
        except Exception as error:  # ONNX Runtime raises types of its own, RuntimeErrors and ValueErrors alike
            raise PackageError(f"ONNX Runtime cannot load the graph: {first_line(error)}") from None

    def run(self, rows: Rows, outputs: Sequence[str]) -> list[NDArray[Any]]:
        """The named outputs, a row each for every row given. Raises PackageError when the graph cannot be run so."""
        count = len(next(iter(rows.values())))
        alike = all((rows[name] == rows[name][:1]).all() for name in self._scalars)
        together = (self.batch or count) if alike else 1
        parts: list[list[NDArray[Any]]] = []
        for start in range(0, count, together):
            chosen = np.arange(start, min(start + together, count))
            padded = np.resize(chosen, self.batch or len(chosen))
            made = self._run({name: self._value(name, values, padded) for name, values in rows.items()}, outputs)
            if any(len(values) != len(padded) for values in made):
                shapes = ", ".join(str(list(values.shape)) for values in made)
                raise PackageError(f"the graph answers {len(padded)} rows with {shapes}, not with a row each")
            parts.append([values[: len(chosen)] for values in made])
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def once(self, rows: Rows, outputs: Sequence[str]) -> list[NDArray[Any]]:
        """The named tensors, whatever their shapes, of one run on all rows, which have to be as many as it takes."""
        every = np.arange(len(next(iter(rows.values()))))
        return self._run({name: self._value(name, values, every) for name, values in rows.items()}, outputs)

    def _value(self, name: str, values: NDArray[Any], chosen: NDArray[np.int64]) -> NDArray[Any]:
        if name in self._scalars:
            return np.asarray(values[chosen[0]]).reshape(self._scalars[name])
        return np.ascontiguousarray(values[chosen])

    def _run(self, feed: Rows, outputs: Sequence[str]) -> list[NDArray[Any]]:
        try:
            made = self._session.run(list(outputs), dict(feed))
        except Exception as error:  # as above
            raise PackageError(f"the graph cannot be run: {first_line(error)}") from None
        return [np.asarray(values).reshape(-1) if np.ndim(values) == 0 else values for values in made]
