import asyncio
import logging

import numpy as np
import pytest

from app.batching import Batcher
from app.engines.base import EngineLost
from app.engines.rebuilt import RebuiltEngine
from app.errors import NotReady
from tests.fakes.engine import RecordingEngine, SilentObserver

OUT_OF_MEMORY = RuntimeError("bfc_arena.cc: Failed to allocate memory for requested buffer of size 1048576")
ROW = {"z": np.array([[4]], np.float32)}


class _Supply:
    """Engines to be opened one after another; the first `broken` of them run out of memory in every run."""

    def __init__(self, *, broken: int = 0, closed_for_good: bool = False) -> None:
        self.made: list[RecordingEngine] = []
        self._broken = broken
        self._closed_for_good = closed_for_good

    def __call__(self) -> RecordingEngine:
        if self.made and self._closed_for_good:
            raise RuntimeError("no device")
        engine = RecordingEngine()
        if len(self.made) < self._broken:
            engine.fail_with = OUT_OF_MEMORY
        self.made.append(engine)
        return engine


def test_an_engine_out_of_memory_is_made_anew_and_the_batch_answered(caplog: pytest.LogCaptureFixture) -> None:
    supply = _Supply(broken=1)
    engine = RebuiltEngine(supply)
    with caplog.at_level(logging.ERROR):
        assert engine.run(ROW)["image"].tolist() == [[40]]
    assert "made anew" in caplog.text
    assert [made.closed for made in supply.made] == [True, False]
    supply.made[1].fail_with = OUT_OF_MEMORY
    assert engine.run(ROW)["image"].tolist() == [[40]]  # it is a second failure in a row that ends it
    engine.close()
    assert [made.closed for made in supply.made] == [True, True, True]


@pytest.mark.parametrize("supply", [_Supply(broken=2), _Supply(broken=1, closed_for_good=True)])
def test_a_second_failure_in_a_row_loses_the_engine(supply: _Supply) -> None:
    engine = RebuiltEngine(supply)
    with pytest.raises(EngineLost, match="failed as well"):
        engine.run(ROW)
    engine.close()
    assert all(made.closed for made in supply.made)


def test_any_other_failure_is_the_callers() -> None:
    supply = _Supply()
    engine = RebuiltEngine(supply)
    supply.made[0].fail_with = ValueError("wrong shape")
    with pytest.raises(ValueError, match="wrong shape"):
        engine.run(ROW)
    assert len(supply.made) == 1


def test_a_lost_engine_ends_its_batcher_so_that_the_process_is_restarted(caplog: pytest.LogCaptureFixture) -> None:
    batcher = Batcher(
        [RebuiltEngine(_Supply(broken=2)), RebuiltEngine(_Supply(broken=2))],
        max_batch_size=8,
        max_queue_delay_s=0,
        max_queue_images=8,
        observer=SilentObserver(),
    )
    with pytest.raises(NotReady), caplog.at_level(logging.ERROR):
        asyncio.run(batcher.submit(ROW, deadline=None))
    assert not batcher.alive
    batcher.close()
