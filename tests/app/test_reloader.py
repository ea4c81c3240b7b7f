import asyncio
import threading

import pytest

from app.reloader import Reloader


class Looks:
    """A look that is recorded, waits at a gate and fails when told to."""

    def __init__(self) -> None:
        self.retried: list[bool] = []
        self.began = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.fail_with: Exception | None = None

    def __call__(self, *, retry_failed: bool) -> None:
        self.retried.append(retry_failed)
        self.began.release()
        assert self.gate.wait(30)
        if self.fail_with is not None:
            raise self.fail_with


@pytest.fixture
def looks() -> Looks:
    return Looks()


def test_nothing_is_looked_at_unless_asked(looks: Looks) -> None:
    reloader = Reloader(looks, watch_s=None)
    reloader.start()
    reloader.request()
    assert looks.began.acquire(timeout=30)
    reloader.close()
    assert looks.retried == [True]


def test_a_watch_looks_again_and_again_and_spares_what_has_settled(looks: Looks) -> None:
    reloader = Reloader(looks, watch_s=0.001)
    reloader.start()
    for _ in range(3):
        assert looks.began.acquire(timeout=30)
    reloader.close()
    assert looks.retried[:3] == [False] * 3


def test_what_was_asked_before_the_start_is_done_after_it(looks: Looks) -> None:
    reloader = Reloader(looks, watch_s=None)
    reloader.request()
    assert looks.retried == []
    reloader.start()
    assert looks.began.acquire(timeout=30)
    reloader.close()


def test_requests_during_a_look_share_the_next_one(looks: Looks) -> None:
    reloader = Reloader(looks, watch_s=None)

    async def ask() -> None:
        looks.gate.clear()
        reloader.request()
        assert await asyncio.to_thread(looks.began.acquire, timeout=30)
        waiting = [asyncio.ensure_future(reloader.reload()) for _ in range(5)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        looks.gate.set()
        await asyncio.gather(*waiting)

    reloader.start()
    asyncio.run(asyncio.wait_for(ask(), 30))
    reloader.close()
    assert looks.retried == [True, True]


def test_a_look_that_fails_tells_who_waits_and_the_next_one_comes(
    looks: Looks, caplog: pytest.LogCaptureFixture
) -> None:
    reloader = Reloader(looks, watch_s=None)
    reloader.start()
    looks.fail_with = ValueError("broken")
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(reloader.reload())
    looks.fail_with = None
    asyncio.run(reloader.reload())
    reloader.close()
    assert "the look at the model repository failed" in caplog.text


def test_who_stops_waiting_does_not_stop_the_look(looks: Looks) -> None:
    reloader = Reloader(looks, watch_s=None)
    reloader.start()

    async def give_up() -> None:
        looks.gate.clear()
        waiting = asyncio.ensure_future(reloader.reload())
        assert await asyncio.to_thread(looks.began.acquire, timeout=30)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        looks.gate.set()
        await reloader.reload()

    asyncio.run(asyncio.wait_for(give_up(), 30))
    reloader.close()
    assert len(looks.retried) == 2


def test_who_waits_at_the_end_is_told_so(looks: Looks) -> None:
    reloader = Reloader(looks, watch_s=None)

    async def wait() -> None:
        waiting = asyncio.ensure_future(reloader.reload())
        await asyncio.sleep(0)
        reloader.close()
        reloader.start()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(asyncio.wait_for(wait(), 30))
    assert looks.retried == []
