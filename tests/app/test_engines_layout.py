from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engines.base import Arrays
from app.engines.layout import Layout, Wanted, candidates, choose, lay_out

ROWS = {"z": np.zeros((2, 3), np.float32)}


class _Engine:
    """Remembers what becomes of it; the outputs are its own."""

    provider = "CPUExecutionProvider"

    def __init__(self, threads: int, answer: float = 1.0) -> None:
        self.threads = threads
        self.closed = 0
        self._answer = answer

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        return {"image": np.full(len(inputs["z"]), self._answer)}

    def close(self) -> None:
        self.closed += 1


class _Engines:
    """Opens engines and keeps them in sight; those numbered in `odd` answer otherwise."""

    def __init__(self, *odd: int) -> None:
        self.all: list[_Engine] = []
        self._odd = odd

    def __call__(self, threads: int) -> _Engine:
        self.all.append(_Engine(threads, 2.0 if len(self.all) in self._odd else 1.0))
        return self.all[-1]


@pytest.mark.parametrize(
    ("seconds", "cores", "layout"),
    [
        ({1: 1.0}, 1, (1, 1)),
        ({1: 1.0, 2: 0.95}, 2, (2, 1)),
        ({1: 1.0, 2: 0.55}, 2, (1, 2)),
        ({1: 1.0, 2: 1 / 1.4}, 2, (1, 2)),
        ({1: 1.0, 2: 1.5}, 2, (2, 1)),
        ({1: 1.0, 2: 0.6, 3: 0.5}, 3, (1, 2)),
        ({1: 1.0, 2: 0.55, 4: 0.3, 8: 0.25}, 8, (2, 4)),
        ({1: 1.0, 2: 0.9, 4: 0.8, 8: 0.7, 16: 0.7}, 16, (8, 1)),
    ],
)
def test_threads_are_taken_as_long_as_they_pay(seconds: dict[int, float], cores: int, layout: tuple[int, int]) -> None:
    assert choose(seconds, cores=cores) == Layout(*layout)


@pytest.mark.parametrize(("cores", "threads"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (12, [1, 2, 4, 8, 12])])
def test_powers_of_two_and_all_cores_are_tried(cores: int, threads: list[int]) -> None:
    assert candidates(cores) == threads


@pytest.mark.parametrize(
    ("wanted", "layout"),
    [((0, 1), (4, 1)), ((0, 3), (1, 3)), ((0, 9), (1, 9)), ((2, 0), (2, 2)), ((9, 0), (9, 1)), ((3, 5), (3, 5))],
)
def test_what_is_asked_for_is_not_measured(wanted: tuple[int, int], layout: tuple[int, int]) -> None:
    engines = _Engines()
    first = engines(wanted[1] or 1)
    used, found = lay_out(first, engines, ROWS, wanted=Wanted(*wanted), cores=4, weight_bytes=1)
    assert found == Layout(*layout)
    assert [engine.threads for engine in engines.all if not engine.closed] == [layout[1]] * layout[0]
    assert len(used) == layout[0]
    assert all(engine.closed <= 1 for engine in engines.all)


def test_heavy_weights_are_not_copied_for_every_core() -> None:
    engines = _Engines()
    used, _ = lay_out(engines(1), engines, ROWS, wanted=Wanted(0, 1), cores=8, weight_bytes=2**29)
    assert len(used) == 2


def test_a_session_that_gives_other_bits_does_not_serve(caplog: pytest.LogCaptureFixture) -> None:
    engines = _Engines(2)
    used, layout = lay_out(engines(1), engines, ROWS, wanted=Wanted(4, 1), cores=4, weight_bytes=1)
    assert (len(used), layout) == (2, Layout(2, 1))
    assert [engine.closed for engine in engines.all] == [0, 0, 1]
    assert "other bits" in caplog.text


def test_a_failure_closes_all_but_the_first() -> None:
    engines = _Engines()
    first = engines(1)

    def open_with(threads: int) -> _Engine:
        if len(engines.all) == 3:
            raise RuntimeError("no more memory")
        return engines(threads)

    with pytest.raises(RuntimeError, match="memory"):
        lay_out(first, open_with, ROWS, wanted=Wanted(5, 1), cores=4, weight_bytes=1)
    assert [engine.closed for engine in engines.all] == [0, 1, 1]
