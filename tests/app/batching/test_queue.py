import asyncio
import time

import numpy as np
import pytest

from app.errors import DeadlineExceeded, QueueFull
from tests.app.batching.scenario import Batchers, rows, submitted, until_running
from tests.fakes.engine import RecordingEngine


def test_every_row_gets_its_own_answer(make: Batchers, engine: RecordingEngine) -> None:
    async def scenario() -> list[list[float]]:
        batcher = make(engine)
        return list(await asyncio.gather(*[await submitted(batcher, i, i + 0.5) for i in range(40)]))

    assert asyncio.run(scenario()) == [[i * 10, i * 10 + 5] for i in range(40)]


def test_small_requests_share_a_batch(make: Batchers, shut: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(shut)
        tasks = [await submitted(batcher, 0)]
        await until_running(shut)
        tasks += [await submitted(batcher, i) for i in (1, 2, 3)]
        shut.gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
    assert shut.batches == [[0], [1, 2, 3]]


def test_a_large_request_is_split_and_put_together_again(make: Batchers, engine: RecordingEngine) -> None:
    async def scenario() -> list[float]:
        return await (await submitted(make(engine), *range(20)))

    assert asyncio.run(scenario()) == [i * 10 for i in range(20)]
    assert [len(batch) for batch in engine.batches] == [8, 8, 4]


def test_a_large_request_does_not_starve_small_ones(make: Batchers, shut: RecordingEngine) -> None:
    finished: list[str] = []

    async def scenario() -> None:
        batcher = make(shut)
        first = await submitted(batcher, 0)
        await until_running(shut)
        large = await submitted(batcher, *range(1, 65))
        small = await submitted(batcher, 99)
        large.add_done_callback(lambda _: finished.append("large"))
        small.add_done_callback(lambda _: finished.append("small"))
        shut.gate.set()
        await asyncio.gather(first, large, small)
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert 99 in shut.batches[1]
    assert finished == ["small", "large"]
    assert [value for batch in shut.batches for value in batch if value not in {0, 99}] == list(range(1, 65))


def test_a_full_queue_refuses_and_says_when_to_come_back(make: Batchers, shut: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(shut, max_queue_images=10)
        running = await submitted(batcher, 0)
        await until_running(shut)
        waiting = await submitted(batcher, *range(9))
        assert batcher.queue_depth == 9
        with pytest.raises(QueueFull) as refusal:
            await batcher.submit(rows(1, 2), deadline=None)
        assert refusal.value.retry_after_s >= 1
        last = await submitted(batcher, 1)
        shut.gate.set()
        await asyncio.gather(running, waiting, last)
        assert batcher.queue_depth == 0

    asyncio.run(scenario())


def test_room_is_kept_for_rows_that_are_still_being_made(make: Batchers, shut: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(shut, max_queue_images=10)
        running = await submitted(batcher, 0)
        await until_running(shut)
        with batcher.holding(8, deadline=None):
            assert batcher.refusal(2, None) is None
            assert isinstance(batcher.refusal(3, None), QueueFull)
            with pytest.raises(QueueFull):
                await batcher.submit(rows(1, 2, 3), deadline=None)
            with pytest.raises(QueueFull), batcher.holding(3, deadline=None):
                pytest.fail("there is no room")
        waiting = await submitted(batcher, *range(10))
        shut.gate.set()
        await asyncio.gather(running, waiting)

    asyncio.run(scenario())


def test_room_is_given_back_when_making_the_rows_fails(make: Batchers, engine: RecordingEngine) -> None:
    batcher = make(engine, max_queue_images=10)
    with pytest.raises(ZeroDivisionError), batcher.holding(10, deadline=None):
        _ = 1 / 0
    assert batcher.refusal(10, None) is None


def test_work_whose_client_has_gone_is_not_run(make: Batchers, shut: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(shut)
        running = await submitted(batcher, 0)
        await until_running(shut)
        gone, staying = await submitted(batcher, 1, 2), await submitted(batcher, 3)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert batcher.queue_depth == 1
        shut.gate.set()
        await asyncio.gather(running, staying)

    asyncio.run(scenario())
    assert shut.batches == [[0], [3]]


def test_work_past_its_deadline_is_refused_and_not_run(make: Batchers, shut: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(shut)
        running = await submitted(batcher, 0)
        await until_running(shut)
        late = await submitted(batcher, 1, deadline=time.monotonic() + 0.01)
        with pytest.raises(DeadlineExceeded):
            await late
        assert batcher.queue_depth == 0
        shut.gate.set()
        await running

    asyncio.run(scenario())
    assert shut.batches == [[0]]


def test_the_queue_delay_lets_a_batch_fill_up(make: Batchers, engine: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(engine, max_queue_delay_s=30.0, max_batch_size=3)
        await asyncio.gather(*[await submitted(batcher, i) for i in (1, 2, 3)])

    asyncio.run(scenario())
    assert engine.batches == [[1, 2, 3]]


def test_the_queue_delay_ends_with_the_oldest_requests_patience(make: Batchers, engine: RecordingEngine) -> None:
    async def scenario() -> float:
        result = await make(engine, max_queue_delay_s=0.05).submit(rows(1), deadline=None)
        return result.queue_s

    assert asyncio.run(scenario()) >= 0.05


def test_times_are_reported(make: Batchers, engine: RecordingEngine) -> None:
    async def scenario() -> None:
        result = await make(engine).submit(rows(1), deadline=None)
        assert result.queue_s >= 0
        assert result.inference_s >= 0

    asyncio.run(scenario())


def test_the_rest_of_a_large_request_is_not_run_past_its_deadline(make: Batchers, shut: RecordingEngine) -> None:
    now = [100.0]

    async def scenario() -> None:
        batcher = make(shut, max_batch_size=4, clock=lambda: now[0])
        large = await submitted(batcher, *range(10), deadline=130.0)
        await until_running(shut)
        now[0] = 130.0
        shut.gate.set()
        with pytest.raises(DeadlineExceeded):
            await large
        assert batcher.queue_depth == 0
        await batcher.submit(rows(77), deadline=None)

    asyncio.run(scenario())
    assert shut.batches == [[0, 1, 2, 3], [77]]


@pytest.mark.parametrize("lengths", [(0, 0), (2, 3)])
def test_rows_that_cannot_be_answered_one_by_one_are_not_queued(
    make: Batchers, engine: RecordingEngine, lengths: tuple[int, int]
) -> None:
    batcher = make(engine)
    inputs = {name: np.zeros((length, 1), np.float32) for name, length in zip(("z", "psi"), lengths, strict=True)}
    with pytest.raises(ValueError, match="one row or more"):
        asyncio.run(batcher.submit(inputs, deadline=None))
    assert batcher.queue_depth == 0


def test_a_request_whose_turn_would_come_too_late_is_refused_at_once(make: Batchers, shut: RecordingEngine) -> None:
    now = [0.0]

    async def scenario() -> None:
        batcher = make(shut, clock=lambda: now[0])
        first = await submitted(batcher, 0)
        await until_running(shut)
        now[0] = 1.0  # one image a second, it learns
        shut.gate.set()
        await first
        shut.gate.clear()
        running = await submitted(batcher, 1)
        await until_running(shut)
        waiting = await submitted(batcher, *range(10))
        with pytest.raises(QueueFull) as refused:
            await batcher.submit(rows(9), deadline=now[0] + 11)
        assert refused.value.retry_after_s == pytest.approx(10)
        patient = await submitted(batcher, 7, deadline=now[0] + 30)
        shut.gate.set()
        await asyncio.gather(running, waiting, patient)

    asyncio.run(scenario())
