import asyncio
import threading

import pytest

from app.batching import Batcher
from app.errors import ModelFailure
from tests.app.batching.scenario import Batchers, rows, submitted, until_idle
from tests.fakes.engine import RecordingEngine

HERE = threading.main_thread().name


def test_single_rows_that_meet_no_other_run_where_they_were_submitted(make: Batchers, engine: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(engine, inline_s=60.0)
        for value in range(30):
            await until_idle(batcher, 1)
            assert await (await submitted(batcher, value)) == [value * 10]

    asyncio.run(scenario())
    assert engine.threads[:8] == ["batcher"] * 8
    assert engine.threads[-8:] == [HERE] * 8


@pytest.mark.parametrize("settings", [{}, {"inline_s": 1e-9}])
def test_nothing_slow_runs_where_it_was_submitted(
    make: Batchers, engine: RecordingEngine, settings: dict[str, float]
) -> None:
    async def scenario() -> None:
        batcher = make(engine, **settings)
        for value in range(30):
            await until_idle(batcher, 1)
            await (await submitted(batcher, value))

    asyncio.run(scenario())
    assert set(engine.threads) == {"batcher"}


def test_a_request_that_meets_another_goes_to_a_worker(make: Batchers, engine: RecordingEngine) -> None:
    async def alone(batcher: Batcher, times: int) -> None:
        for value in range(times):
            await until_idle(batcher, 1)
            await (await submitted(batcher, value))

    async def scenario() -> None:
        batcher = make(engine, inline_s=60.0)
        await alone(batcher, 20)
        assert engine.threads[-1] == HERE
        both = [await submitted(batcher, 1), await submitted(batcher, 2)]
        assert await asyncio.gather(*both) == [[10], [20]]
        assert engine.threads[-2:] == [HERE, "batcher"]
        await alone(batcher, 4)
        assert engine.threads[-4:] == ["batcher"] * 4
        rows = await submitted(batcher, 3, 4)
        assert await rows == [30, 40]

    asyncio.run(scenario())
    assert engine.threads[-1] == "batcher"


def test_a_failure_where_it_was_submitted_ends_one_request_alone(make: Batchers, engine: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(engine, inline_s=60.0)
        for value in range(20):
            await until_idle(batcher, 1)
            await (await submitted(batcher, value))
        engine.fail_with = RuntimeError("no")
        with pytest.raises(ModelFailure):
            await batcher.submit(rows(1), deadline=None)
        assert engine.threads[-1] == HERE
        engine.fail_with = None
        assert await (await submitted(batcher, 5)) == [50]
        assert batcher.alive

    asyncio.run(scenario())
