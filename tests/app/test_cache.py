import asyncio
import gc
import tracemalloc
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from app.cache import EncodedImage, ImageCache, ImageKey, entry_bytes
from app.errors import DeadlineExceeded, ModelFailure


def key(seed: int) -> ImageKey:
    return ImageKey("d" * 64, "CPUExecutionProvider", seed, None, "1.0", "png", None)


def image(key: ImageKey) -> EncodedImage:
    return EncodedImage(f"file of {key}".encode(), key.class_id)


class Maker:
    """Makes images and remembers the seeds of each call; waits at the gate, and fails when told to."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.called = asyncio.Event()
        self.gate = asyncio.Event()
        self.fail_once: BaseException | None = None

    async def __call__(self, keys: Sequence[ImageKey]) -> list[EncodedImage]:
        self.calls.append([key.seed for key in keys])
        self.called.set()
        await self.gate.wait()
        failure, self.fail_once = self.fail_once, None
        if failure is not None:
            raise failure
        return [image(key) for key in keys]

    async def until_called(self, times: int) -> None:
        while len(self.calls) < times:
            self.called.clear()
            await self.called.wait()


def open_maker() -> Maker:
    maker = Maker()
    maker.gate.set()
    return maker


def new_cache(max_bytes: int = 2**20) -> tuple[ImageCache, list[None]]:
    evictions: list[None] = []
    return ImageCache(max_bytes, on_eviction=lambda: evictions.append(None)), evictions


async def begin(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task that has run as far as it can."""
    task = asyncio.ensure_future(work)
    for _ in range(5):  # turns of the loop, not time
        await asyncio.sleep(0)
    return task


def test_what_was_made_is_not_made_again() -> None:
    async def scene() -> None:
        (cache, _), maker = new_cache(), open_maker()
        first = await cache.images([key(1)], maker)
        again = await cache.images([key(1)], maker)
        assert again.images == first.images == [image(key(1))]
        assert (first.made, again.made, maker.calls) == (1, 0, [[1]])

    asyncio.run(scene())


def test_misses_are_made_together_and_come_back_in_order() -> None:
    async def scene() -> None:
        (cache, _), maker = new_cache(), open_maker()
        await cache.images([key(2)], maker)
        found = await cache.images([key(3), key(2), key(1), key(3)], maker)
        assert found.images == [image(key(seed)) for seed in (3, 2, 1, 3)]
        assert (found.made, maker.calls) == (2, [[2], [3, 1]])

    asyncio.run(scene())


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "e" * 64}, {"provider": "CUDAExecutionProvider"}, {"seed": 2}, {"class_id": 0},
        {"truncation": "0.5"}, {"truncation": None}, {"image_format": "webp"}, {"quality": 90},
    ],
)  # fmt: skip
def test_whatever_an_image_depends_on_keeps_it_apart(changes: dict[str, Any]) -> None:
    async def scene() -> None:
        (cache, _), maker = new_cache(), open_maker()
        await cache.images([key(1)], maker)
        other = key(1)._replace(**changes)
        assert (await cache.images([other], maker)).images == [image(other)]
        assert len(maker.calls) == 2

    asyncio.run(scene())


def test_the_one_not_asked_for_the_longest_makes_room() -> None:
    async def scene() -> None:
        room = sum(entry_bytes(key(seed), image(key(seed))) for seed in (1, 2))
        (cache, evictions), maker = new_cache(room), open_maker()
        for seed in (1, 2, 1, 3):
            await cache.images([key(seed)], maker)
        assert (len(cache), len(evictions), cache.size_bytes) == (2, 1, room)
        await cache.images([key(1)], maker)
        await cache.images([key(3)], maker)
        assert maker.calls == [[1], [2], [3]]
        await cache.images([key(2)], maker)
        assert maker.calls == [[1], [2], [3], [2]]

    asyncio.run(scene())


def test_the_size_never_passes_the_bound() -> None:
    async def scene() -> None:
        (cache, evictions), maker = new_cache(5000), open_maker()
        for seed in range(100):
            await cache.images([key(seed), key(seed + 1)], maker)
            assert 0 < cache.size_bytes <= 5000
        assert len(cache) + len(evictions) == 101

    asyncio.run(scene())


def test_an_image_larger_than_the_cache_is_handed_over_and_not_kept() -> None:
    async def scene() -> None:
        (cache, evictions), maker = new_cache(100), open_maker()
        assert (await cache.images([key(1)], maker)).images == [image(key(1))]
        assert (len(cache), len(evictions), cache.size_bytes) == (0, 0, 0)

    asyncio.run(scene())


def test_an_entry_s_size_is_what_it_takes() -> None:
    async def fill(cache: ImageCache, count: int) -> None:
        async def make(keys: Sequence[ImageKey]) -> list[EncodedImage]:
            return [EncodedImage(bytes(500), key.class_id) for key in keys]

        for seed in range(10**6, 10**6 + count):
            await cache.images([key(seed)._replace(class_id=seed, truncation=repr(seed / 2))], make)

    async def scene() -> None:
        cache, _ = new_cache(2**30)
        gc.collect()
        tracemalloc.start()
        try:
            await fill(cache, 3000)
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # Digest and provider are each model's own; here every key has the same ones too.
        assert 0.8 < taken / cache.size_bytes < 1.2

    asyncio.run(scene())


def test_equal_misses_at_once_are_made_once() -> None:
    async def scene() -> None:
        (cache, _), maker = new_cache(), Maker()
        tasks = [await begin(cache.images([key(1), key(2)], maker)) for _ in range(10)]
        maker.gate.set()
        found = await asyncio.gather(*tasks)
        assert maker.calls == [[1, 2]]
        assert sorted(lookup.made for lookup in found) == [0] * 9 + [2]
        assert all(lookup.images == [image(key(1)), image(key(2))] for lookup in found)

    asyncio.run(scene())


def test_even_what_cannot_be_kept_is_shared() -> None:
    async def scene() -> None:
        (cache, _), maker = new_cache(100), Maker()
        tasks = [await begin(cache.images([key(1)], maker)) for _ in range(3)]
        maker.gate.set()
        assert all(lookup.images == [image(key(1))] for lookup in await asyncio.gather(*tasks))
        assert maker.calls == [[1]]

    asyncio.run(scene())


def test_a_small_request_does_not_wait_for_a_large_one_and_is_shared_itself() -> None:
    async def scene() -> None:
        (cache, _), slow, quick = new_cache(), Maker(), Maker()
        large = await begin(cache.images([key(seed) for seed in range(64)], slow))
        small = [await begin(cache.images([key(5)], quick)) for _ in range(2)]
        quick.gate.set()
        assert [lookup.made for lookup in await asyncio.gather(*small)] == [1, 0]
        assert quick.calls == [[5]]
        assert not large.done()
        slow.gate.set()
        assert (await large).made == 64
        assert len(cache) == 64

    asyncio.run(scene())


def test_two_that_wait_for_each_other_both_get_their_images() -> None:
    async def scene() -> None:
        (cache, _), maker = new_cache(), Maker()
        first = await begin(cache.images([key(1), key(2)], maker))
        second = await begin(cache.images([key(2), key(3)], maker))
        third = await begin(cache.images([key(3), key(1)], maker))
        maker.gate.set()
        found = await asyncio.gather(first, second, third)
        assert [lookup.made for lookup in found] == [2, 1, 0]
        assert maker.calls == [[1, 2], [3]]

    asyncio.run(scene())


@pytest.mark.parametrize("late", [False, True])
def test_a_caller_who_leaves_or_is_late_hands_the_work_on_to_one_who_waits(late: bool) -> None:  # noqa: FBT001
    async def scene() -> None:
        (cache, _), maker = new_cache(), Maker()
        leader, *others = [await begin(cache.images([key(1)], maker)) for _ in range(4)]
        if late:
            maker.fail_once = DeadlineExceeded("too late")
            maker.gate.set()
        else:
            leader.cancel()
            await maker.until_called(2)
            maker.gate.set()
        with pytest.raises(DeadlineExceeded if late else asyncio.CancelledError):
            await leader
        found = await asyncio.gather(*others)
        assert [lookup.images for lookup in found] == [[image(key(1))]] * 3
        assert maker.calls == [[1], [1]]

    asyncio.run(scene())


def test_one_who_waits_and_leaves_disturbs_nobody() -> None:
    async def scene() -> None:
        (cache, _), maker = new_cache(), Maker()
        leader, leaving, staying = [await begin(cache.images([key(1)], maker)) for _ in range(3)]
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        maker.gate.set()
        assert (await leader).images == (await staying).images == [image(key(1))]
        assert maker.calls == [[1]]

    asyncio.run(scene())


def test_a_failure_is_its_caller_s_own_and_the_others_try_for_themselves_at_once() -> None:
    async def scene() -> None:
        (cache, _), maker = new_cache(), Maker()
        leader, *others = [await begin(cache.images([key(1)], maker)) for _ in range(4)]
        maker.fail_once = ModelFailure("the model failed")
        maker.gate.set()
        with pytest.raises(ModelFailure):
            await leader
        found = await asyncio.gather(*others)
        assert [(lookup.images, lookup.made <= 1) for lookup in found] == [([image(key(1))], True)] * 3
        assert len(cache) == 1

    asyncio.run(scene())


def test_when_all_fail_each_fails_after_one_try_of_his_own() -> None:
    async def scene() -> None:
        (cache, _), calls = new_cache(), []

        async def fail(keys: Sequence[ImageKey]) -> list[EncodedImage]:
            calls.append(keys)
            await asyncio.sleep(0)
            raise ModelFailure("the model failed")

        outcomes = await asyncio.gather(*(cache.images([key(1)], fail) for _ in range(5)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ModelFailure] * 5
        assert len(calls) == 5
        assert (await cache.images([key(1)], open_maker())).made == 1

    asyncio.run(scene())
