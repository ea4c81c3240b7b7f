"""Sessions on an NVIDIA GPU, with the proof that they really run there."""

import io
import logging
from collections import Counter
from contextlib import redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime

from app.engines.acceleration import Acceleration
from app.engines.bound import BoundEngine, Plan
from app.engines.failures import first_line
from app.errors import ProviderUnavailable

logger = logging.getLogger(__name__)

CUDA, CPU, TENSORRT = "CUDAExecutionProvider", "CPUExecutionProvider", "TensorrtExecutionProvider"
_ERRORS_ONLY = 3
_STRAYED = "assigned to the default CPU EP"
"""In the message of a session that may not use the CPU and would have to."""

CUDA_OPTIONS: dict[str, str] = {
    # EXHAUSTIVE, the default, searches again for each new batch size, for hundreds of milliseconds.
    "cudnn_conv_algo_search": "HEURISTIC",
    # TF32 keeps ten bits of a float32's mantissa: too few for pixels that agree across providers.
    "use_tf32": "0",
    # Grow by what is asked for, not by doubling: other processes use the GPU too.
    "arena_extend_strategy": "kSameAsRequested",
}

SHAPE_OPERATORS = frozenset(
    (
        *("Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand", "Flatten", "Gather"),
        *("Greater", "Identity", "Less", "Max", "Min", "Mod", "Mul", "Neg", "Range", "ReduceMax", "ReduceMin"),
        *("ReduceProd", "Reshape", "Shape", "Size", "Slice", "Split", "Squeeze", "Sub", "Unsqueeze", "Where"),
    )
)
"""What ONNX Runtime moves to the CPU of its own accord: the arithmetic on shapes, a few whole numbers a run."""


def open_on_gpu(model: bytes, acceleration: Acceleration, *, device_id: int = 0) -> BoundEngine:
    """An engine on a GPU, as far accelerated as the settings and the graph allow.

    Raises ProviderUnavailable when the session would not run there, TensorRT included where that was asked for.
    """
    tensorrt = acceleration.tensorrt != "off"
    plan = Plan(
        most=None if acceleration.batch_buckets == "off" else acceleration.max_batch_size,
        binding=acceleration.io_binding != "off",
        # TensorRT launches an engine of its own, which has little left to gain.
        graphs=acceleration.cuda_graphs and not tensorrt,
        memory="cuda",
        device_id=device_id,
    )

    try:
        return BoundEngine(partial(gpu_session, model, acceleration, device_id=device_id), plan, acceleration.gate)
    except ProviderUnavailable:
        raise
    except Exception as error:  # pybind raises a dozen kinds, none of them public
        name = "TensorRT" if tensorrt else "CUDA"
        raise ProviderUnavailable(f"{name} cannot run the model: {first_line(error)}") from None


def gpu_session(
    model: bytes, acceleration: Acceleration, *, device_id: int, graphs: bool
) -> onnxruntime.InferenceSession:
    """A session that runs on the GPU alone, arithmetic on shapes aside.

    Raises ProviderUnavailable where it would not, and whatever ONNX Runtime says of the graph or of capturing it.
    """
    # It prints what it misses; the session, or its absence, says it better.
    with redirect_stdout(io.StringIO()), suppress(Exception):
        onnxruntime.preload_dlls()
    providers: list[tuple[str, dict[str, str]]] = [(CUDA, _cuda_options(device_id, graphs=graphs))]
    if acceleration.tensorrt != "off":
        if TENSORRT not in onnxruntime.get_available_providers():
            raise ProviderUnavailable("this build of ONNX Runtime has no provider for TensorRT")
        providers.insert(0, (TENSORRT, _tensorrt_options(acceleration, device_id)))
    return _session_without_cpu(model, providers)


def session_options() -> onnxruntime.SessionOptions:
    """What all sessions have in common."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.inter_op_num_threads = 1
    return options


def strays(session: onnxruntime.InferenceSession) -> Counter[str]:
    """How many nodes of each operator the CPU would run, arithmetic on shapes aside.

    The session must have been opened with session.record_ep_graph_assignment_info.
    """
    nodes = Counter(
        node.op_type
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name == CPU
        for node in part.get_nodes()
    )
    return Counter({name: count for name, count in nodes.items() if name not in SHAPE_OPERATORS})


def _session_without_cpu(model: bytes, providers: list[tuple[str, dict[str, str]]]) -> onnxruntime.InferenceSession:
    """A session that may not fall back to the CPU, or, where shapes alone need it, one that is shown not to."""
    wanted = providers[0][0]
    try:
        return _session(model, providers, ("session.disable_cpu_ep_fallback", "1"))
    except Exception as error:  # as above
        if _STRAYED not in str(error):
            raise
    session = _session(model, providers, ("session.record_ep_graph_assignment_info", "1"))
    if not hasattr(session, "get_provider_graph_assignment_info"):
        raise ProviderUnavailable(f"{wanted} would leave operators of the model to the CPU")
    if found := strays(session):
        names = ", ".join(f"{count} {name}" for name, count in sorted(found.items()))
        raise ProviderUnavailable(f"{wanted} would leave operators of the model to the CPU: {names}")
    logger.info("a network's arithmetic on shapes runs on the CPU, all else on %s", wanted)
    return session


def _session(
    model: bytes, providers: list[tuple[str, dict[str, str]]], entry: tuple[str, str]
) -> onnxruntime.InferenceSession:
    """Raises ProviderUnavailable for a session that begins with another provider."""
    options = session_options()
    options.add_session_config_entry(*entry)
    # Without this, Python opens another session on other providers when one cannot be loaded, or when a run fails.
    session = onnxruntime.InferenceSession(model, options, providers=providers, enable_fallback=0)
    if (found := session.get_providers()[0]) != providers[0][0]:
        raise ProviderUnavailable(
            f"ONNX Runtime could not load its {providers[0][0]} and took {found} (its libraries are missing)"
        )
    return session


def _cuda_options(device_id: int, *, graphs: bool) -> dict[str, str]:
    return {**CUDA_OPTIONS, "device_id": str(device_id), "enable_cuda_graph": "1" if graphs else "0"}


def _tensorrt_options(acceleration: Acceleration, device_id: int) -> dict[str, str]:
    options: dict[str, Any] = {"device_id": str(device_id)}
    if acceleration.tensorrt == "fp16":
        options["trt_fp16_enable"] = "1"
    if acceleration.cache_dir is not None:
        folder = Path(acceleration.cache_dir)
        folder.mkdir(parents=True, exist_ok=True)
        options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
        options |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": str(folder)}
    return options
