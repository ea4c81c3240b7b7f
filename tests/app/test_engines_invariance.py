from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from app.engines.base import Arrays
from app.engines.invariance import batch_invariant
from app.engines.onnx import open_engine
from tests.fakes.graphs import graph

chance = np.random.default_rng(7)
WEIGHT = chance.standard_normal((100, 31)).astype(np.float32)
KERNEL = chance.standard_normal((8, 3, 3, 3)).astype(np.float32)

GEMM = graph([helper.make_node("Gemm", ["x", "w"], ["y"])], {"w": WEIGHT}, shape=(100,))
CONV = graph([helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])], {"w": KERNEL}, shape=(3, 9, 9))
RUN_TIME_WEIGHTS = graph(
    [
        helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
        helper.make_node("Mul", ["top", "zero"], ["nothing"]),
        helper.make_node("Add", ["w", "nothing"], ["w_now"]),
        helper.make_node("Gemm", ["x", "w_now"], ["y"]),
    ],
    {"w": WEIGHT, "zero": np.zeros((), np.float32)},
    shape=(100,),
)


class Rounding:
    """Adds to every row what `error` makes of the batch's size and the row's place."""

    provider = "CPUExecutionProvider"

    def __init__(self, *, size: int | None = None, place: int | None = None, output: str = "logit") -> None:
        self.size, self.place, self.output = size, place, output
        self.sizes: list[int] = []

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        z = inputs["z"]
        self.sizes.append(len(z))
        outputs = {"image": z * np.float32(2), "logit": z[:, 0].copy()}
        wrong = outputs[self.output]
        if len(z) == self.size:
            wrong[:] = np.nextafter(wrong, np.inf)
        if self.place is not None and self.place < len(z):
            wrong[self.place] = np.nextafter(wrong[self.place], np.inf)
        return outputs

    def close(self) -> None:
        pass


def _rows(count: int) -> dict[str, NDArray[np.float32]]:
    return {"z": np.random.default_rng(count).standard_normal((count, 5)).astype(np.float32)}


def test_an_engine_that_treats_rows_alike_is_invariant() -> None:
    engine = Rounding()
    assert batch_invariant(engine, _rows(9), max_batch_size=64)
    assert {1, 2, 3, 64} <= set(engine.sizes)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("output", ["image", "logit"])
def test_one_bit_that_depends_on_the_batch_size_is_found(size: int, output: str) -> None:
    assert not batch_invariant(Rounding(size=size, output=output), _rows(9), max_batch_size=64)


@pytest.mark.parametrize("place", [1, 6, 40, 63])
def test_one_bit_that_depends_on_the_place_in_the_batch_is_found(place: int) -> None:
    assert not batch_invariant(Rounding(place=place), _rows(9), max_batch_size=64)


def test_no_batch_is_larger_than_the_largest() -> None:
    engine = Rounding()
    assert batch_invariant(engine, _rows(4), max_batch_size=2)
    assert set(engine.sizes) == {1, 2}


@pytest.mark.parametrize("model", [GEMM, CONV], ids=["gemm", "conv"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_operators_of_our_networks_are_invariant_on_the_cpu(model: bytes, threads: int) -> None:
    engine = open_engine(model, device="cpu", threads=threads)
    shape = (64, 100) if model is GEMM else (64, 3, 9, 9)
    rows = {"x": np.random.default_rng(1).standard_normal(shape).astype(np.float32)}
    assert batch_invariant(engine, rows, max_batch_size=64)


def test_a_gemm_whose_weights_are_made_in_the_graph_is_told_by_its_bits() -> None:
    engine = open_engine(RUN_TIME_WEIGHTS, device="cpu", threads=1)
    x = np.random.default_rng(2).standard_normal((64, 100)).astype(np.float32)
    together = engine.run({"x": x})["y"]
    alone = np.concatenate([engine.run({"x": x[row : row + 1]})["y"] for row in range(64)])
    assert np.abs(together - alone).max() < 1e-3
    if np.array_equal(together, alone):
        pytest.skip("this processor's kernels sum a batch of one as they sum many")
    assert not batch_invariant(engine, {"x": x}, max_batch_size=64)
