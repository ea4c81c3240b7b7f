import asyncio
import threading

import pytest

from app.batching import Batcher
from app.errors import Draining, ModelFailure, NotReady
from tests.app.batching.scenario import Batchers, rows, submitted, until_running
from tests.fakes.engine import RecordingEngine, SilentObserver


def test_a_failing_batch_reaches_every_waiter_and_the_next_one_runs(make: Batchers, shut: RecordingEngine) -> None:
    async def scenario() -> list[float]:
        batcher = make(shut)
        tasks = [await submitted(batcher, 0)]
        await until_running(shut)
        tasks += [await submitted(batcher, i) for i in (1, 2)]
        shut.fail_with = RuntimeError("the GPU is on fire, at 10.0.0.1")
        shut.gate.set()
        for task in tasks:
            with pytest.raises(ModelFailure) as failure:
                await task
            assert "fire" not in str(failure.value)
        shut.fail_with = None
        assert batcher.alive
        return await (await submitted(batcher, 7))

    assert asyncio.run(scenario()) == [70]


def test_a_failing_batch_ends_the_whole_of_a_large_request(make: Batchers, engine: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(engine)
        engine.fail_with = RuntimeError("no")
        with pytest.raises(ModelFailure):
            await batcher.submit(rows(*range(64)), deadline=None)
        assert batcher.queue_depth == 0

    asyncio.run(scenario())
    assert len(engine.batches) == 1


def test_an_answer_of_another_length_is_a_failure(make: Batchers, engine: RecordingEngine) -> None:
    engine.lose_a_row = True

    async def scenario() -> None:
        with pytest.raises(ModelFailure):
            await make(engine).submit(rows(1, 2), deadline=None)

    asyncio.run(scenario())


def test_a_dead_worker_is_seen_and_leaves_no_one_waiting(make: Batchers, shut: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(shut)
        running = await submitted(batcher, 0)
        await until_running(shut)
        waiting = await submitted(batcher, 1)
        shut.fail_with = SystemExit()  # not an Exception: nothing that an engine may recover from
        shut.gate.set()
        for task in (running, waiting):
            with pytest.raises(NotReady):
                await task
        assert not batcher.alive
        with pytest.raises(NotReady):
            await batcher.submit(rows(2), deadline=None)

    asyncio.run(scenario())


def test_closing_lets_the_running_batch_end_and_turns_the_rest_away(shut: RecordingEngine) -> None:
    async def scenario() -> None:
        observer = SilentObserver()
        batcher = Batcher([shut], max_batch_size=8, max_queue_delay_s=0, max_queue_images=9, observer=observer)
        running = await submitted(batcher, 5)
        await until_running(shut)
        waiting = await submitted(batcher, 6)
        closing = threading.Thread(target=batcher.close)
        closing.start()
        shut.gate.set()
        assert await running == [50]
        with pytest.raises(Draining):
            await waiting
        await asyncio.to_thread(closing.join, 10)
        with pytest.raises(Draining):
            await batcher.submit(rows(1), deadline=None)
        assert observer.rows == [1]

    asyncio.run(scenario())
    assert shut.closed
