import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from app.engines.acceleration import Acceleration
from app.engines.cuda import session_options, strays
from app.engines.failures import device_failed, first_line
from app.engines.onnx import open_engine
from app.errors import ProviderUnavailable
from tests.fakes.graphs import graph

SHAPES = graph(
    [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Cast", ["s"], ["y"], to=TensorProto.FLOAT)],
    {},
    shape=(3,),
)
PRODUCT = graph(
    [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Tanh", ["h"], ["y"])],
    {"w": np.ones((3, 3), np.float32)},
    shape=(3,),
)


def _recorded(model: bytes) -> onnxruntime.InferenceSession:
    options = session_options()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def test_arithmetic_on_shapes_may_run_on_the_cpu_and_nothing_else() -> None:
    assert strays(_recorded(SHAPES)) == {}
    assert strays(_recorded(PRODUCT)) == {"MatMul": 1, "Tanh": 1}


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_tensorrt_that_is_not_there_is_refused_in_one_line(device: str) -> None:
    if "TensorrtExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this build of ONNX Runtime has it")
    with pytest.raises(ProviderUnavailable, match="TensorRT was asked for") as refusal:
        open_engine(PRODUCT, device=device, threads=1, acceleration=Acceleration(tensorrt="on"))
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        ("Failed to allocate memory for requested buffer of size 42", True),
        ("CUDA failure 2: out of memory ; GPU=0", True),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", True),
        ("CUDA failure 700: an illegal memory access was encountered", True),
        ("CUDA failure 900: operation not permitted when stream is capturing", False),
        ("Got invalid dimensions for input: z", False),
    ],
)
def test_a_failing_device_is_told_from_a_failing_request(message: str, verdict: bool) -> None:  # noqa: FBT001 -- a table
    assert device_failed(RuntimeError(message)) is verdict


def test_an_error_is_told_in_one_line() -> None:
    assert first_line(RuntimeError(" one\ntwo")) == "one"
    assert first_line(RuntimeError()) == "RuntimeError"
    placed = "/src/python/state.cc:729 void onnxruntime::python::Register(Options&, const Map&) Please install TensorRT"
    assert first_line(RuntimeError(placed)) == "Please install TensorRT"
