"""ONNX Runtime sessions: on the device that was asked for, or not at all."""

import logging
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from app.engines.acceleration import Acceleration
from app.engines.alignment import aligned
from app.engines.base import Arrays, Engine
from app.engines.bound import BoundEngine, Plan
from app.engines.cuda import CPU, CUDA, open_on_gpu, session_options
from app.engines.failures import first_line
from app.engines.rebuilt import RebuiltEngine
from app.errors import ModelLoadError, ProviderUnavailable
from app.processors import available_threads

logger = logging.getLogger(__name__)


class OnnxEngine:
    """A session on one graph."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]
        self.provider: str = session.get_providers()[0]

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See Engine."""
        feed = {name: aligned(values) for name, values in inputs.items()}
        return dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))

    def close(self) -> None:
        """See Engine."""
        del self._session


def open_engine(
    model: bytes,
    *,
    device: str,
    threads: int,
    acceleration: Acceleration | None = None,
) -> Engine:
    """An engine on the ONNX graph `model`, with `threads` CPU threads (0: as many as this process may use).

    `device` is one of app.devices. A GPU raises ProviderUnavailable unless the session really runs on it: ONNX Runtime
    itself would fall back to the CPU without a word; so does TensorRT where that was asked for. `auto` takes CUDA
    where that works, and logs where it landed. Engines of one process share an Acceleration, for its gate. Raises
    ModelLoadError for bytes that are no graph it can run.
    """
    acceleration = acceleration or Acceleration()
    if device == "cpu":
        return _cpu(model, threads, acceleration)
    try:
        engine = _cuda(model, acceleration, int(device.partition(":")[2] or 0))
    except ProviderUnavailable as reason:
        if device != "auto" or acceleration.tensorrt != "off":
            wanted = f"device {device}" if device != "auto" else "TensorRT"
            raise ProviderUnavailable(f"{wanted} was asked for, and {reason}") from None
        level = logging.WARNING if _gpu_is_visible() else logging.INFO
        logger.log(level, "device auto: running on the CPU, since %s", reason)
        return _cpu(model, threads, acceleration)
    logger.info("device %s: running on %s", device, engine.provider)
    return engine


def _cpu(model: bytes, threads: int, acceleration: Acceleration) -> Engine:
    if acceleration.tensorrt != "off":
        raise ProviderUnavailable("TensorRT was asked for, and so was the CPU")

    def open_session(*, graphs: bool) -> onnxruntime.InferenceSession:
        del graphs  # CUDA's own
        options = session_options()
        options.intra_op_num_threads = threads or available_threads()
        # Spinning threads would burn the cores that encode the images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return onnxruntime.InferenceSession(model, options, providers=[CPU])
        except Exception as error:  # pybind raises a dozen kinds, none of them public
            raise ModelLoadError(f"ONNX Runtime cannot load the graph: {first_line(error)}") from None

    binding, buckets = acceleration.io_binding == "on", acceleration.batch_buckets == "on"
    if not binding and not buckets:
        return OnnxEngine(open_session(graphs=False))
    plan = Plan(acceleration.max_batch_size if buckets else None, binding, graphs=False)
    return BoundEngine(open_session, plan, acceleration.gate)


def _cuda(model: bytes, acceleration: Acceleration, device_id: int = 0) -> Engine:
    if CUDA not in onnxruntime.get_available_providers():
        raise ProviderUnavailable("this is a CPU build of ONNX Runtime (install onnxruntime-gpu)")
    if not _gpu_is_visible():
        raise ProviderUnavailable("no NVIDIA GPU is visible (no driver, or no device passed to the container)")
    return RebuiltEngine(lambda: open_on_gpu(model, acceleration, device_id=device_id))


def _gpu_is_visible() -> bool:
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()
