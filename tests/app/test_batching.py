import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.batching import Batcher
from app.errors import DeadlineExceeded, Draining, ModelFailure, NotReady, QueueFull
from tests.fakes.engine import RecordingEngine, SilentObserver

Batchers = Any


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def shut() -> RecordingEngine:
    return RecordingEngine(gate_open=False)


class _Made:
    def __init__(self) -> None:
        self.batchers: list[tuple[Batcher, tuple[RecordingEngine, ...]]] = []

    def __call__(self, *engines: RecordingEngine, **settings: Any) -> Batcher:  # noqa: ANN401 -- any setting
        kept: dict[str, Any] = {
            "max_batch_size": 8,
            "max_queue_delay_s": 0.0,
            "max_queue_images": 100,
            "observer": SilentObserver(),
        }
        batcher = Batcher(engines, **{**kept, **settings})
        self.batchers.append((batcher, engines))
        return batcher


@pytest.fixture
def make() -> Iterator[_Made]:
    made = _Made()
    yield made
    for batcher, engines in made.batchers:
        for engine in engines:
            engine.gate.set()
        batcher.close()


def _rows(*values: float) -> dict[str, NDArray[np.float32]]:
    return {"z": np.array(values, dtype=np.float32)[:, None]}


async def _until_running(engine: RecordingEngine) -> None:
    """Wait until the engine has begun one more batch."""
    assert await asyncio.to_thread(engine.entered.acquire, timeout=10)


async def _submitted(batcher: Batcher, *values: float, deadline: float | None = None) -> "asyncio.Task[list[float]]":
    """A request that is certain to be in the queue, or taken from it."""

    async def submit() -> list[float]:
        result = await batcher.submit(_rows(*values), deadline=deadline)
        rows: list[float] = result.outputs["image"][:, 0].tolist()
        return rows

    task = asyncio.create_task(submit())
    await asyncio.sleep(0)  # the task runs up to its first wait, which is behind the queue
    return task


def test_every_row_gets_its_own_answer(make: _Made, engine: RecordingEngine) -> None:
    async def scenario() -> list[list[float]]:
        batcher = make(engine)
        return list(await asyncio.gather(*[await _submitted(batcher, i, i + 0.5) for i in range(40)]))

    assert asyncio.run(scenario()) == [[i * 10, i * 10 + 5] for i in range(40)]


def test_small_requests_share_a_batch(make: _Made, shut: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(shut)
        tasks = [await _submitted(batcher, 0)]
        await _until_running(shut)
        tasks += [await _submitted(batcher, i) for i in (1, 2, 3)]
        shut.gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
    assert shut.batches == [[0], [1, 2, 3]]


def test_a_large_request_is_split_and_put_together_again(make: _Made, engine: RecordingEngine) -> None:
    async def scenario() -> list[float]:
        return await (await _submitted(make(engine), *range(20)))

    assert asyncio.run(scenario()) == [i * 10 for i in range(20)]
    assert [len(batch) for batch in engine.batches] == [8, 8, 4]


def test_a_large_request_does_not_starve_small_ones(make: _Made, shut: RecordingEngine) -> None:
    finished: list[str] = []

    async def scenario() -> None:
        batcher = make(shut)
        first = await _submitted(batcher, 0)
        await _until_running(shut)
        large = await _submitted(batcher, *range(1, 65))
        small = await _submitted(batcher, 99)
        large.add_done_callback(lambda _: finished.append("large"))
        small.add_done_callback(lambda _: finished.append("small"))
        shut.gate.set()
        await asyncio.gather(first, large, small)
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert 99 in shut.batches[1]
    assert finished == ["small", "large"]
    assert [value for batch in shut.batches for value in batch if value not in {0, 99}] == list(range(1, 65))


def test_a_full_queue_refuses_and_says_when_to_come_back(make: _Made, shut: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(shut, max_queue_images=10)
        running = await _submitted(batcher, 0)
        await _until_running(shut)
        waiting = await _submitted(batcher, *range(9))
        assert batcher.queue_depth == 9
        with pytest.raises(QueueFull) as refusal:
            await batcher.submit(_rows(1, 2), deadline=None)
        assert refusal.value.retry_after_s >= 1
        last = await _submitted(batcher, 1)
        shut.gate.set()
        await asyncio.gather(running, waiting, last)
        assert batcher.queue_depth == 0

    asyncio.run(scenario())


def test_room_is_kept_for_rows_that_are_still_being_made(make: _Made, shut: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(shut, max_queue_images=10)
        running = await _submitted(batcher, 0)
        await _until_running(shut)
        with batcher.holding(8, deadline=None):
            assert batcher.refusal(2, None) is None
            assert isinstance(batcher.refusal(3, None), QueueFull)
            with pytest.raises(QueueFull):
                await batcher.submit(_rows(1, 2, 3), deadline=None)
            with pytest.raises(QueueFull), batcher.holding(3, deadline=None):
                pytest.fail("there is no room")
        waiting = await _submitted(batcher, *range(10))
        shut.gate.set()
        await asyncio.gather(running, waiting)

    asyncio.run(scenario())


def test_room_is_given_back_when_making_the_rows_fails(make: _Made, engine: RecordingEngine) -> None:
    batcher = make(engine, max_queue_images=10)
    with pytest.raises(ZeroDivisionError), batcher.holding(10, deadline=None):
        _ = 1 / 0
    assert batcher.refusal(10, None) is None


def test_work_whose_client_has_gone_is_not_run(make: _Made, shut: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(shut)
        running = await _submitted(batcher, 0)
        await _until_running(shut)
        gone, staying = await _submitted(batcher, 1, 2), await _submitted(batcher, 3)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert batcher.queue_depth == 1
        shut.gate.set()
        await asyncio.gather(running, staying)

    asyncio.run(scenario())
    assert shut.batches == [[0], [3]]


def test_work_past_its_deadline_is_refused_and_not_run(make: _Made, shut: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(shut)
        running = await _submitted(batcher, 0)
        await _until_running(shut)
        late = await _submitted(batcher, 1, deadline=time.monotonic() + 0.01)
        with pytest.raises(DeadlineExceeded):
            await late
        assert batcher.queue_depth == 0
        shut.gate.set()
        await running

    asyncio.run(scenario())
    assert shut.batches == [[0]]


def test_a_failing_batch_reaches_every_waiter_and_the_next_one_runs(make: _Made, shut: RecordingEngine) -> None:
    async def scenario() -> list[float]:
        batcher = make(shut)
        tasks = [await _submitted(batcher, 0)]
        await _until_running(shut)
        tasks += [await _submitted(batcher, i) for i in (1, 2)]
        shut.fail_with = RuntimeError("the GPU is on fire, at 10.0.0.1")
        shut.gate.set()
        for task in tasks:
            with pytest.raises(ModelFailure) as failure:
                await task
            assert "fire" not in str(failure.value)
        shut.fail_with = None
        assert batcher.alive
        return await (await _submitted(batcher, 7))

    assert asyncio.run(scenario()) == [70]


def test_a_failing_batch_ends_the_whole_of_a_large_request(make: _Made, engine: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(engine)
        engine.fail_with = RuntimeError("no")
        with pytest.raises(ModelFailure):
            await batcher.submit(_rows(*range(64)), deadline=None)
        assert batcher.queue_depth == 0

    asyncio.run(scenario())
    assert len(engine.batches) == 1


def test_an_answer_of_another_length_is_a_failure(make: _Made, engine: RecordingEngine) -> None:
    engine.lose_a_row = True

    async def scenario() -> None:
        with pytest.raises(ModelFailure):
            await make(engine).submit(_rows(1, 2), deadline=None)

    asyncio.run(scenario())


def test_a_dead_worker_is_seen_and_leaves_no_one_waiting(make: _Made, shut: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(shut)
        running = await _submitted(batcher, 0)
        await _until_running(shut)
        waiting = await _submitted(batcher, 1)
        shut.fail_with = SystemExit()  # not an Exception: nothing that an engine may recover from
        shut.gate.set()
        for task in (running, waiting):
            with pytest.raises(NotReady):
                await task
        assert not batcher.alive
        with pytest.raises(NotReady):
            await batcher.submit(_rows(2), deadline=None)

    asyncio.run(scenario())


def test_closing_lets_the_running_batch_end_and_turns_the_rest_away(shut: RecordingEngine) -> None:
    async def scenario() -> None:
        observer = SilentObserver()
        batcher = Batcher([shut], max_batch_size=8, max_queue_delay_s=0, max_queue_images=9, observer=observer)
        running = await _submitted(batcher, 5)
        await _until_running(shut)
        waiting = await _submitted(batcher, 6)
        closing = threading.Thread(target=batcher.close)
        closing.start()
        shut.gate.set()
        assert await running == [50]
        with pytest.raises(Draining):
            await waiting
        await asyncio.to_thread(closing.join, 10)
        with pytest.raises(Draining):
            await batcher.submit(_rows(1), deadline=None)
        assert observer.rows == [1]

    asyncio.run(scenario())
    assert shut.closed


def test_the_queue_delay_lets_a_batch_fill_up(make: _Made, engine: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(engine, max_queue_delay_s=30.0, max_batch_size=3)
        await asyncio.gather(*[await _submitted(batcher, i) for i in (1, 2, 3)])

    asyncio.run(scenario())
    assert engine.batches == [[1, 2, 3]]


def test_the_queue_delay_ends_with_the_oldest_requests_patience(make: _Made, engine: RecordingEngine) -> None:
    async def scenario() -> float:
        result = await make(engine, max_queue_delay_s=0.05).submit(_rows(1), deadline=None)
        return result.queue_s

    assert asyncio.run(scenario()) >= 0.05


def test_times_are_reported(make: _Made, engine: RecordingEngine) -> None:
    async def scenario() -> None:
        result = await make(engine).submit(_rows(1), deadline=None)
        assert result.queue_s >= 0
        assert result.inference_s >= 0

    asyncio.run(scenario())


def test_the_rest_of_a_large_request_is_not_run_past_its_deadline(make: _Made, shut: RecordingEngine) -> None:
    now = [100.0]

    async def scenario() -> None:
        batcher = make(shut, max_batch_size=4, clock=lambda: now[0])
        large = await _submitted(batcher, *range(10), deadline=130.0)
        await _until_running(shut)
        now[0] = 130.0
        shut.gate.set()
        with pytest.raises(DeadlineExceeded):
            await large
        assert batcher.queue_depth == 0
        await batcher.submit(_rows(77), deadline=None)

    asyncio.run(scenario())
    assert shut.batches == [[0, 1, 2, 3], [77]]


@pytest.mark.parametrize("lengths", [(0, 0), (2, 3)])
def test_rows_that_cannot_be_answered_one_by_one_are_not_queued(
    make: _Made, engine: RecordingEngine, lengths: tuple[int, int]
) -> None:
    batcher = make(engine)
    inputs = {name: np.zeros((length, 1), np.float32) for name, length in zip(("z", "psi"), lengths, strict=True)}
    with pytest.raises(ValueError, match="one row or more"):
        asyncio.run(batcher.submit(inputs, deadline=None))
    assert batcher.queue_depth == 0


def _shut_pair() -> tuple[RecordingEngine, RecordingEngine]:
    return RecordingEngine(gate_open=False), RecordingEngine(gate_open=False)


async def _until_idle(batcher: Batcher, workers: int) -> None:
    """Wait until so many workers wait for work."""
    while batcher.idle_workers < workers:  # noqa: ASYNC110 -- nothing tells of it but the count
        await asyncio.sleep(0.001)


def test_idle_engines_share_a_large_request(make: _Made) -> None:
    first, second = _shut_pair()

    async def scenario() -> list[float]:
        batcher = make(first, second, max_batch_size=8)
        await _until_idle(batcher, 2)
        large = await _submitted(batcher, *range(8))
        await _until_running(first)
        await _until_running(second)
        first.gate.set()
        second.gate.set()
        return await large

    assert asyncio.run(scenario()) == [row * 10 for row in range(8)]
    assert sorted([*first.batches, *second.batches]) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_batch_on_one_engine_holds_no_other_engine_up(make: _Made) -> None:
    first, second = _shut_pair()

    async def scenario() -> None:
        batcher = make(first, second)
        await _until_idle(batcher, 2)
        stuck = await _submitted(batcher, 1)
        busy, free = (first, second) if await asyncio.to_thread(first.entered.acquire, timeout=0.5) else (second, first)
        free.gate.set()
        for value in range(2, 12):
            assert await (await _submitted(batcher, value)) == [value * 10]
        busy.gate.set()
        assert await stuck == [10]

    asyncio.run(scenario())


def test_a_failing_engine_fails_a_request_that_it_shares_with_another(make: _Made) -> None:
    first, second = _shut_pair()
    first.fail_with = RuntimeError("no")

    async def scenario() -> None:
        batcher = make(first, second, max_batch_size=8)
        await _until_idle(batcher, 2)
        large = await _submitted(batcher, *range(16))
        await _until_running(first)
        await _until_running(second)
        first.gate.set()
        with pytest.raises(ModelFailure):
            await large
        assert batcher.queue_depth == 0
        second.gate.set()
        first.fail_with = None
        assert await (await _submitted(batcher, 5)) == [50]

    asyncio.run(scenario())


def test_one_dead_worker_of_two_ends_the_batcher(make: _Made) -> None:
    first, second = _shut_pair()
    first.fail_with = SystemExit()

    async def scenario() -> None:
        batcher = make(first, second, max_batch_size=2)
        await _until_idle(batcher, 2)
        tasks = [await _submitted(batcher, value) for value in (1, 2, 3)]
        await _until_running(first)
        await _until_running(second)
        first.gate.set()
        second.gate.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(outcome, NotReady) for outcome in outcomes) >= 1
        assert not batcher.alive
        with pytest.raises(NotReady):
            await batcher.submit(_rows(9), deadline=None)

    asyncio.run(scenario())


def test_a_request_whose_turn_would_come_too_late_is_refused_at_once(make: _Made, shut: RecordingEngine) -> None:
    now = [0.0]

    async def scenario() -> None:
        batcher = make(shut, clock=lambda: now[0])
        first = await _submitted(batcher, 0)
        await _until_running(shut)
        now[0] = 1.0  # one image a second, it learns
        shut.gate.set()
        await first
        shut.gate.clear()
        running = await _submitted(batcher, 1)
        await _until_running(shut)
        waiting = await _submitted(batcher, *range(10))
        with pytest.raises(QueueFull) as refused:
            await batcher.submit(_rows(9), deadline=now[0] + 11)
        assert refused.value.retry_after_s == pytest.approx(10)
        patient = await _submitted(batcher, 7, deadline=now[0] + 30)
        shut.gate.set()
        await asyncio.gather(running, waiting, patient)

    asyncio.run(scenario())


def test_small_work_stays_with_the_first_engine(make: _Made) -> None:
    first, second = RecordingEngine(), RecordingEngine()

    async def scenario() -> None:
        batcher = make(first, second, share_rows=4)
        for value in range(20):
            await _until_idle(batcher, 2)
            assert await (await _submitted(batcher, value)) == [value * 10]

    asyncio.run(scenario())
    assert len(first.batches) == 20
    assert second.batches == []


def test_another_engine_joins_for_a_long_queue(make: _Made) -> None:
    first, second = _shut_pair()

    async def scenario() -> None:
        batcher = make(first, second, share_rows=4)
        await _until_idle(batcher, 2)
        tasks = [await _submitted(batcher, 0)]
        await _until_running(first)
        tasks += [await _submitted(batcher, value) for value in (1, 2, 3)]
        assert batcher.idle_workers == 1
        tasks.append(await _submitted(batcher, 4))
        await _until_running(second)
        first.gate.set()
        second.gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
    assert second.batches == [[1, 2, 3, 4]]
    assert first.batches == [[0]]


HERE = threading.main_thread().name


def test_single_rows_that_meet_no_other_run_where_they_were_submitted(make: _Made, engine: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(engine, inline_s=60.0)
        for value in range(30):
            await _until_idle(batcher, 1)
            assert await (await _submitted(batcher, value)) == [value * 10]

    asyncio.run(scenario())
    assert engine.threads[:8] == ["batcher"] * 8
    assert engine.threads[-8:] == [HERE] * 8


@pytest.mark.parametrize("settings", [{}, {"inline_s": 1e-9}])
def test_nothing_slow_runs_where_it_was_submitted(
    make: _Made, engine: RecordingEngine, settings: dict[str, float]
) -> None:
    async def scenario() -> None:
        batcher = make(engine, **settings)
        for value in range(30):
            await _until_idle(batcher, 1)
            await (await _submitted(batcher, value))

    asyncio.run(scenario())
    assert set(engine.threads) == {"batcher"}


def test_a_request_that_meets_another_goes_to_a_worker(make: _Made, engine: RecordingEngine) -> None:
    async def alone(batcher: Batcher, times: int) -> None:
        for value in range(times):
            await _until_idle(batcher, 1)
            await (await _submitted(batcher, value))

    async def scenario() -> None:
        batcher = make(engine, inline_s=60.0)
        await alone(batcher, 20)
        assert engine.threads[-1] == HERE
        both = [await _submitted(batcher, 1), await _submitted(batcher, 2)]
        assert await asyncio.gather(*both) == [[10], [20]]
        assert engine.threads[-2:] == [HERE, "batcher"]
        await alone(batcher, 4)
        assert engine.threads[-4:] == ["batcher"] * 4
        rows = await _submitted(batcher, 3, 4)
        assert await rows == [30, 40]

    asyncio.run(scenario())
    assert engine.threads[-1] == "batcher"


def test_a_failure_where_it_was_submitted_ends_one_request_alone(make: _Made, engine: RecordingEngine) -> None:
    async def scenario() -> None:
        batcher = make(engine, inline_s=60.0)
        for value in range(20):
            await _until_idle(batcher, 1)
            await (await _submitted(batcher, value))
        engine.fail_with = RuntimeError("no")
        with pytest.raises(ModelFailure):
            await batcher.submit(_rows(1), deadline=None)
        assert engine.threads[-1] == HERE
        engine.fail_with = None
        assert await (await _submitted(batcher, 5)) == [50]
        assert batcher.alive

    asyncio.run(scenario())
