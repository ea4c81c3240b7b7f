"""Images that were made before: a least-recently-used cache of encoded files, bounded in bytes."""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from app.errors import DeadlineExceeded

_SLOT_BYTES = 160
"""What CPython takes for an entry beside its objects: a hash table's slot, a list's node, the parts of the key."""


class ImageKey(NamedTuple):
    """All that an image's bytes depend on.

    `class_id` is the one that was asked for, None for the one that follows from the seed. `truncation` is spelt as in
    the file's own text, None where the model has none: 0.0 and -0.0 are equal numbers and different texts.
    `quality` is a PNG's level, and None for formats without either.
    """

    digest: str
    provider: str
    seed: int
    class_id: int | None
    truncation: str | None
    image_format: str
    quality: int | None


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """A file, and the class that its image has; None for a model without classes."""

    data: bytes
    class_id: int | None


@dataclass(frozen=True)
class Lookup:
    """The images of the keys asked for, in order, and how many of them this caller had to have made."""

    images: list[EncodedImage]
    made: int


MakeImages = Callable[[Sequence[ImageKey]], Awaitable[Sequence[EncodedImage]]]
"""Makes the images of different keys, in order."""


@dataclass(eq=False)
class _Run:
    """Images being made for one caller; others may wait for `ended` and find theirs in `images`."""

    size: int
    ended: asyncio.Future[None]
    images: dict[ImageKey, EncodedImage] = field(default_factory=dict)
    failed: bool = False


class ImageCache:
    """Encoded images by key; past `max_bytes` those go that were not asked for the longest.

    Equal misses that come while the first is being made wait for it and are not made again. Nobody waits for a run
    larger than what he asks for, so that a large request does not hold up a small one: the smaller run is then the
    one that is shared. A caller whose run is cancelled or too late leaves the work to one of those who waited; when it
    failed, each of them tries for himself, and none is failed by another's failure.

    Every method runs on one event loop, and between two awaits nothing else does: entries, sizes and runs change only
    in such stretches, so no lock is needed. No one can wait in a circle, for a caller first ends the run that others
    may wait for, and waits for others' after that. `size_bytes` is one int, which any thread may read.
    """

    def __init__(self, max_bytes: int, *, on_eviction: Callable[[], None]) -> None:
        self._max_bytes = max_bytes
        self._on_eviction = on_eviction
        self._entries: OrderedDict[ImageKey, EncodedImage] = OrderedDict()
        self._runs: dict[ImageKey, _Run] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    async def images(self, keys: Sequence[ImageKey], make: MakeImages) -> Lookup:
        """The images of `keys`, those that are not there made by one call of `make`. Raises what `make` raises."""
        wanted = dict.fromkeys(keys)
        found: dict[ImageKey, EncodedImage] = {}
        made = 0
        shares = True
        while missing := [key for key in wanted if key not in found and not self._find(key, found)]:
            runs = {key: run for key in missing if (run := self._runs.get(key)) and run.size <= len(wanted)}
            theirs = runs if shares else {}
            if mine := [key for key in missing if key not in theirs]:
                found.update(await self._run(mine, make))
                made += len(mine)
            for key, run in theirs.items():
                # wait() leaves the future alone when this caller is cancelled.
                await asyncio.wait({run.ended})
                if key in run.images:
                    found[key] = run.images[key]
                shares = shares and not run.failed
        return Lookup([found[key] for key in keys], made)

    def _find(self, key: ImageKey, found: dict[ImageKey, EncodedImage]) -> bool:
        image = self._entries.get(key)
        if image is None:
            return False
        self._entries.move_to_end(key)
        found[key] = image
        return True

    async def _run(self, keys: Sequence[ImageKey], make: MakeImages) -> dict[ImageKey, EncodedImage]:
        run = _Run(len(keys), asyncio.get_running_loop().create_future())
        for key in keys:
            other = self._runs.get(key)
            if other is None or other.size > run.size:
                self._runs[key] = run
        try:
            run.images.update(zip(keys, await make(keys), strict=True))
        except (asyncio.CancelledError, DeadlineExceeded):
            raise  # the caller's own affair
        except BaseException:
            run.failed = True
            raise
        finally:
            for key in keys:
                if self._runs.get(key) is run:
                    del self._runs[key]
            run.ended.set_result(None)
        for key, image in run.images.items():
            self._keep(key, image)
        return run.images

    def _keep(self, key: ImageKey, image: EncodedImage) -> None:
        size_bytes = entry_bytes(key, image)
        if key in self._entries or size_bytes > self._max_bytes:
            return
        self._entries[key] = image
        self.size_bytes += size_bytes
        while self.size_bytes > self._max_bytes:
            self.size_bytes -= entry_bytes(*self._entries.popitem(last=False))
            self._on_eviction()


def entry_bytes(key: ImageKey, image: EncodedImage) -> int:
    """The memory of an entry: the file, the key and the bookkeeping. Its digest and provider are the model's own."""
    return _SLOT_BYTES + sys.getsizeof(image.data) + sys.getsizeof(image) + sys.getsizeof(key)
