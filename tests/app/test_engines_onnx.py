import logging
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from app.engines.base import Engine
from app.engines.onnx import open_engine
from app.errors import ModelLoadError, ProviderUnavailable
from tests.fakes.graphs import graph

DOUBLE = graph([helper.make_node("Add", ["x", "x"], ["y"])], {}, shape=(3,))
SUM = graph([helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)], {"axes": np.array([1])}, shape=(37,))
without_gpu = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")


def test_the_cpu_engine_answers_by_name_and_says_where_it_runs() -> None:
    engine: Engine = open_engine(DOUBLE, device="cpu", threads=1)
    assert engine.provider == "CPUExecutionProvider"
    answer = engine.run({"x": np.array([[1, 2, 3]], np.float32)})
    assert {name: values.tolist() for name, values in answer.items()} == {"y": [[2, 4, 6]]}
    engine.close()


@without_gpu
def test_cuda_without_a_gpu_is_refused_in_one_line_and_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(ProviderUnavailable, match="cuda") as refusal:
        open_engine(DOUBLE, device="cuda", threads=0)
    assert time.monotonic() - began < 10
    assert len(str(refusal.value).splitlines()) == 1


@without_gpu
def test_auto_without_a_gpu_lands_on_the_cpu_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="app.engines.onnx"):
        engine = open_engine(DOUBLE, device="auto", threads=1)
    assert engine.provider == "CPUExecutionProvider"
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "running on the CPU" in caplog.text


@pytest.mark.parametrize("model", [b"", b"not a graph", DOUBLE[: len(DOUBLE) // 2]])
def test_bytes_that_are_no_graph_are_refused_in_one_line(model: bytes) -> None:
    with pytest.raises(ModelLoadError) as refusal:
        open_engine(model, device="cpu", threads=1)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("offset", [0, 4, 20, 52])
def test_where_an_array_lies_in_memory_never_changes_an_answer(offset: int) -> None:
    engine = open_engine(SUM, device="cpu", threads=1)
    values = np.random.default_rng(3).standard_normal((64, 37)).astype(np.float32)
    room = np.empty(values.nbytes + 128, np.uint8)
    start = -room.ctypes.data % 64 + offset
    placed = room[start : start + values.nbytes].view(np.float32).reshape(values.shape)
    placed[:] = values
    expected = engine.run({"x": values})["y"]
    assert np.array_equal(engine.run({"x": placed})["y"], expected)
    backwards = engine.run({"x": values[::-1]})["y"]
    np.testing.assert_allclose(backwards[::-1], expected, rtol=1e-5)
