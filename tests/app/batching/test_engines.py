import asyncio

import pytest

from app.errors import ModelFailure, NotReady
from tests.app.batching.scenario import Batchers, rows, shut_pair, submitted, until_idle, until_running
from tests.fakes.engine import RecordingEngine


def test_idle_engines_share_a_large_request(make: Batchers) -> None:
    first, second = shut_pair()

    async def scenario() -> list[float]:
        batcher = make(first, second, max_batch_size=8)
        await until_idle(batcher, 2)
        large = await submitted(batcher, *range(8))
        await until_running(first)
        await until_running(second)
        first.gate.set()
        second.gate.set()
        return await large

    assert asyncio.run(scenario()) == [row * 10 for row in range(8)]
    assert sorted([*first.batches, *second.batches]) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_batch_on_one_engine_holds_no_other_engine_up(make: Batchers) -> None:
    first, second = shut_pair()

    async def scenario() -> None:
        batcher = make(first, second)
        await until_idle(batcher, 2)
        stuck = await submitted(batcher, 1)
        busy, free = (first, second) if await asyncio.to_thread(first.entered.acquire, timeout=0.5) else (second, first)
        free.gate.set()
        for value in range(2, 12):
            assert await (await submitted(batcher, value)) == [value * 10]
        busy.gate.set()
        assert await stuck == [10]

    asyncio.run(scenario())


def test_a_failing_engine_fails_a_request_that_it_shares_with_another(make: Batchers) -> None:
    first, second = shut_pair()
    first.fail_with = RuntimeError("no")

    async def scenario() -> None:
        batcher = make(first, second, max_batch_size=8)
        await until_idle(batcher, 2)
        large = await submitted(batcher, *range(16))
        await until_running(first)
        await until_running(second)
        first.gate.set()
        with pytest.raises(ModelFailure):
            await large
        assert batcher.queue_depth == 0
        second.gate.set()
        first.fail_with = None
        assert await (await submitted(batcher, 5)) == [50]

    asyncio.run(scenario())


def test_one_dead_worker_of_two_ends_the_batcher(make: Batchers) -> None:
    first, second = shut_pair()
    first.fail_with = SystemExit()

    async def scenario() -> None:
        batcher = make(first, second, max_batch_size=2)
        await until_idle(batcher, 2)
        tasks = [await submitted(batcher, value) for value in (1, 2, 3)]
        await until_running(first)
        await until_running(second)
        first.gate.set()
        second.gate.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(outcome, NotReady) for outcome in outcomes) >= 1
        assert not batcher.alive
        with pytest.raises(NotReady):
            await batcher.submit(rows(9), deadline=None)

    asyncio.run(scenario())


def test_small_work_stays_with_the_first_engine(make: Batchers) -> None:
    first, second = RecordingEngine(), RecordingEngine()

    async def scenario() -> None:
        batcher = make(first, second, share_rows=4)
        for value in range(20):
            await until_idle(batcher, 2)
            assert await (await submitted(batcher, value)) == [value * 10]

    asyncio.run(scenario())
    assert len(first.batches) == 20
    assert second.batches == []


def test_another_engine_joins_for_a_long_queue(make: Batchers) -> None:
    first, second = shut_pair()

    async def scenario() -> None:
        batcher = make(first, second, share_rows=4)
        await until_idle(batcher, 2)
        tasks = [await submitted(batcher, 0)]
        await until_running(first)
        tasks += [await submitted(batcher, value) for value in (1, 2, 3)]
        assert batcher.idle_workers == 1
        tasks.append(await submitted(batcher, 4))
        await until_running(second)
        first.gate.set()
        second.gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
    assert second.batches == [[1, 2, 3, 4]]
    assert first.batches == [[0]]
