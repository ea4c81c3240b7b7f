"""Sessions with fixed batch sizes, buffers that stay where they are, and CUDA graphs on top."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from app.engines.alignment import aligned, aligned_empty
from app.engines.base import Arrays, EngineLost
from app.engines.buckets import bucket_of, fill
from app.engines.capture import CaptureGate
from app.engines.failures import device_failed, first_line
from app.engines.own_thread import OwnThread
from app.errors import ProviderUnavailable

logger = logging.getLogger(__name__)

Memory = Literal["cpu", "cuda"]
_GRAPH_ID = "gpu_graph_id"
_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
}


class OpenSession(Protocol):
    """Makes the session, which captures CUDA graphs or does not."""

    def __call__(self, *, graphs: bool) -> onnxruntime.InferenceSession:
        """Raises whatever went wrong, graphs that cannot be captured among it."""
        ...


@dataclass(frozen=True)
class Plan:
    """How a session is run: `most` rows in the largest bucket (None: no buckets), with bound buffers, with graphs."""

    most: int | None
    binding: bool
    graphs: bool
    memory: Memory = "cpu"
    device_id: int = 0


class BoundEngine:
    """A session that is only ever run at a few batch sizes; see Engine.

    A batch of n rows is padded up to the next bucket and its outputs are cut back. Each bucket has input and output
    buffers of its own on the device, made and captured at its first run, which admission makes before the model is
    ready. Everything happens on a thread of the engine's own. Where the device refuses a CUDA graph, the network is
    run without, and the log says so.
    """

    def __init__(self, open_session: OpenSession, plan: Plan, gate: CaptureGate) -> None:
        self._open_session = open_session
        self._most, self._memory, self._device_id = plan.most, plan.memory, plan.device_id
        self._gate = gate
        self._buffers: dict[int, _Buffers] = {}
        self._thread = OwnThread("engine")
        try:
            self._thread.call(lambda: self._open(plan))
        except BaseException:
            self._thread.close()
            raise

    @property
    def uses_graphs(self) -> bool:
        """Whether CUDA graphs are captured, or will be."""
        return self._graphs

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See Engine; the rows returned are the caller's own."""
        return self._thread.call(lambda: self._run(inputs))

    def close(self) -> None:
        """See Engine."""
        self._thread.call(self._free)
        self._thread.close()

    def _open(self, plan: Plan) -> None:
        with self._gate.running():
            self._session, self._graphs = self._capable_session(graphs=plan.graphs and plan.binding)
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.provider: str = self._session.get_providers()[0]
        self._binding = plan.binding
        if plan.binding and not _has_fixed_rows(self._session):
            logger.warning("a network's rows have no fixed shape: it is run without IO binding and CUDA graphs")
            self._binding = False
            if self._graphs:  # such a session would capture whatever buffers a plain run happens to have
                with self._gate.running():
                    self._reopen()

    def _capable_session(self, *, graphs: bool) -> tuple[onnxruntime.InferenceSession, bool]:
        """A session, with CUDA graphs where it takes them."""
        if not graphs:
            return self._open_session(graphs=False), False
        try:
            return self._open_session(graphs=True), True
        except ProviderUnavailable:
            raise
        except Exception as error:  # pybind raises a dozen kinds, none of them public
            reason = first_line(error)
        session = self._open_session(graphs=False)
        _say_no_graphs(reason)
        return session, False

    def _run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        rows = len(next(iter(inputs.values())))
        size = rows if self._most is None else bucket_of(rows, self._most)
        if self._graphs and size not in self._buffers:
            with self._gate.capturing():
                return self._capture(inputs, rows, size)
        with self._gate.running():
            return self._run_bound(inputs, rows, size) if self._binding else self._run_plain(inputs, rows, size)

    def _capture(self, inputs: Arrays, rows: int, size: int) -> dict[str, NDArray[Any]]:
        """The first run at a size: it captures, and the answer is that of a replay, which is what others will get."""
        try:
            self._run_bound(inputs, rows, size)
            return self._run_bound(inputs, rows, size)
        except Exception as error:  # as above
            if device_failed(error) or isinstance(error, ValueError):  # the latter is the caller's
                raise
            reason = first_line(error)
        self._reopen()
        _say_no_graphs(reason)
        return self._run_bound(inputs, rows, size)

    def _reopen(self) -> None:
        """Another session, without graphs: a stream whose capture broke off is of no more use, nor are its buffers."""
        self._buffers.clear()
        del self._session
        try:
            self._session, self._graphs = self._open_session(graphs=False), False
        except Exception as error:  # as above
            raise EngineLost(f"a session without CUDA graphs could not be opened: {first_line(error)}") from error

    def _run_bound(self, inputs: Arrays, rows: int, size: int) -> dict[str, NDArray[Any]]:
        buffers = self._buffers.get(size)
        if buffers is None:
            buffers = _Buffers(self._session, size, self._memory, self._device_id, graphs=self._graphs)
        buffers.run(self._session, inputs)
        self._buffers[size] = buffers  # only now: a size whose first run failed is not prepared
        return buffers.read(rows)

    def _run_plain(self, inputs: Arrays, rows: int, size: int) -> dict[str, NDArray[Any]]:
        feed = {name: aligned(values) for name, values in inputs.items()}
        if size != rows:
            feed = {name: aligned_empty((size, *values.shape[1:]), values.dtype) for name, values in inputs.items()}
            for name, room in feed.items():
                fill(room, inputs[name])
        answers = self._session.run(self._outputs, feed)
        return {name: values[:rows] for name, values in zip(self._outputs, answers, strict=True)}

    def _free(self) -> None:
        with self._gate.running():
            self._buffers.clear()
            with suppress(AttributeError):  # a session that could not be opened again
                del self._session


class _Slot:
    """One input or output of a bucket: a fixed place on the device, and on the CPU the same place as an array."""

    def __init__(self, shape: tuple[int, ...], kind: type[np.generic], memory: Memory, device_id: int) -> None:
        self.on_host = memory == "cpu"
        self.room = aligned_empty(shape, np.dtype(kind))
        if self.on_host:
            self.value = onnxruntime.OrtValue.ortvalue_from_numpy(self.room)
        else:
            self.value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(shape), kind, memory, device_id)

    @classmethod
    def of(cls, spec: Any, size: int, memory: Memory, device_id: int) -> Self:  # noqa: ANN401 -- onnxruntime.NodeArg
        """For an input or output of a session."""
        return cls((size, *spec.shape[1:]), _TYPES[spec.type], memory, device_id)

    def write(self, values: NDArray[Any]) -> None:
        """Put rows in. The copy to a device has ended when this returns."""
        fill(self.room, values)
        if not self.on_host:
            self.value.update_inplace(self.room)

    def read(self, rows: int) -> NDArray[Any]:
        """The first rows, in memory that no later run writes to."""
        if self.on_host:
            return self.room[:rows].copy()
        values: NDArray[Any] = self.value.numpy()  # a copy, since it lies on the device
        return values[:rows]


class _Buffers:
    """All that a run at one batch size needs; addresses never change, as a captured graph writes where it did first."""

    def __init__(
        self, session: onnxruntime.InferenceSession, size: int, memory: Memory, device_id: int, *, graphs: bool
    ) -> None:
        self._inputs = {spec.name: _Slot.of(spec, size, memory, device_id) for spec in session.get_inputs()}
        self._outputs = {spec.name: _Slot.of(spec, size, memory, device_id) for spec in session.get_outputs()}
        self._binding = session.io_binding()
        for name, slot in self._inputs.items():
            self._binding.bind_ortvalue_input(name, slot.value)
        for name, slot in self._outputs.items():
            self._binding.bind_ortvalue_output(name, slot.value)
        self._options = onnxruntime.RunOptions()
        if graphs:
            self._options.add_run_config_entry(_GRAPH_ID, str(size))

    def run(self, session: onnxruntime.InferenceSession, inputs: Arrays) -> None:
        """Rows in, network run; it waits for its own stream, so that nothing has to wait for the whole device."""
        if inputs.keys() != self._inputs.keys():
            raise ValueError(f"the graph takes {sorted(self._inputs)}, not {sorted(inputs)}")
        for name, slot in self._inputs.items():
            slot.write(inputs[name])
        session.run_with_iobinding(self._binding, self._options)

    def read(self, rows: int) -> dict[str, NDArray[Any]]:
        """The outputs by name."""
        return {name: slot.read(rows) for name, slot in self._outputs.items()}


def _has_fixed_rows(session: onnxruntime.InferenceSession) -> bool:
    """Whether types are known and only the first dimension of each input and output is open."""
    return all(
        spec.type in _TYPES and len(spec.shape) > 0 and all(isinstance(side, int) for side in spec.shape[1:])
        for spec in (*session.get_inputs(), *session.get_outputs())
    )


def _say_no_graphs(reason: str) -> None:
    logger.warning("CUDA graphs are off for a network, which is run with IO binding alone: %s", reason)
