"""ONNX Runtime sessions: on the device that was asked for, or not at all."""

import io
import logging
import os
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from app.engines.base import Arrays
from app.errors import ModelLoadError, ProviderUnavailable

logger = logging.getLogger(__name__)

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_ERRORS_ONLY = 3
_ALIGNMENT_BYTES = 64

CUDA_OPTIONS: dict[str, str] = {
    # EXHAUSTIVE, the default, searches again for each new batch size, for hundreds of milliseconds.
    "cudnn_conv_algo_search": "HEURISTIC",
    # TF32 keeps ten bits of a float32's mantissa: too few for pixels that agree across providers.
    "use_tf32": "0",
    # Grow by what is asked for, not by doubling: other processes use the GPU too.
    "arena_extend_strategy": "kSameAsRequested",
}


class OnnxEngine:
    """A session on one graph."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]
        self.provider: str = session.get_providers()[0]

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See Engine."""
        feed = {name: _aligned(values) for name, values in inputs.items()}
        return dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))

    def close(self) -> None:
        """See Engine."""
        del self._session


def open_engine(model: bytes, *, device: Literal["auto", "cuda", "cpu"], threads: int) -> OnnxEngine:
    """A session on the ONNX graph `model`, with `threads` CPU threads (0: as many as this process may use).

    `cuda` raises ProviderUnavailable unless the session really runs on CUDA: ONNX Runtime itself would fall back to
    the CPU without a word. `auto` takes CUDA where that works, and logs where it landed. Raises ModelLoadError for
    bytes that are no graph it can run.
    """
    if device == "cpu":
        return _cpu(model, threads)
    try:
        engine = _cuda(model)
    except ProviderUnavailable as reason:
        if device == "cuda":
            raise ProviderUnavailable(f"device cuda was asked for, and {reason}") from None
        level = logging.WARNING if _gpu_is_visible() else logging.INFO
        logger.log(level, "device auto: running on the CPU, since %s", reason)
        return _cpu(model, threads)
    logger.info("device %s: running on CUDA", device)
    return engine


def available_threads() -> int:
    """CPU threads that this process may keep busy: its affinity, cut down to the cgroup's quota; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_cpus(Path("/sys/fs/cgroup"))
    return max(1, min(allowed, int(quota)) if quota is not None else allowed)


def _cpu(model: bytes, threads: int) -> OnnxEngine:
    options = _options()
    options.intra_op_num_threads = threads or available_threads()
    # Spinning threads would burn the cores that encode the images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return OnnxEngine(onnxruntime.InferenceSession(model, options, providers=[CPU]))
    except Exception as error:  # pybind raises a dozen kinds, none of them public
        raise ModelLoadError(f"ONNX Runtime cannot load the graph: {_first_line(error)}") from None


def _cuda(model: bytes) -> OnnxEngine:
    if CUDA not in onnxruntime.get_available_providers():
        raise ProviderUnavailable("this is a CPU build of ONNX Runtime (install onnxruntime-gpu)")
    if not _gpu_is_visible():
        raise ProviderUnavailable("no NVIDIA GPU is visible (no driver, or no device passed to the container)")
    # It prints what it misses; the session, or its absence, says it better.
    with redirect_stdout(io.StringIO()), suppress(Exception):
        onnxruntime.preload_dlls()
    options = _options()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[(CUDA, CUDA_OPTIONS)])
    except Exception as error:  # as above
        raise ProviderUnavailable(f"CUDA cannot run the model: {_first_line(error)}") from None
    if session.get_providers()[0] != CUDA:
        raise ProviderUnavailable("ONNX Runtime could not load its CUDA provider (CUDA or cuDNN libraries are missing)")
    session.disable_fallback()
    return OnnxEngine(session)


def _aligned(values: NDArray[Any]) -> NDArray[Any]:
    """The same values in memory that begins where a vector register's line does.

    A reduction of an input begins its vector loop at such a line, so the rounding would depend on where numpy put the
    array. ONNX Runtime aligns its own buffers.
    """
    if values.flags.c_contiguous and values.ctypes.data % _ALIGNMENT_BYTES == 0:
        return values
    room = np.empty(values.nbytes + _ALIGNMENT_BYTES, dtype=np.uint8)
    start = -room.ctypes.data % _ALIGNMENT_BYTES
    copy = room[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.inter_op_num_threads = 1
    return options


def _gpu_is_visible() -> bool:
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


def cgroup_cpus(root: Path) -> float | None:
    """The CPU quota of the cgroup (v2 or v1) mounted at `root`, in CPUs; None where there is none."""
    with suppress(OSError, ValueError):
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError):
        v1 = root / "cpu"
        quota_us = int((v1 / "cpu.cfs_quota_us").read_text())
        return quota_us / int((v1 / "cpu.cfs_period_us").read_text()) if quota_us > 0 else None
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
