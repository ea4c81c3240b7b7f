"""The threads that parse, decode and encode, so that the event loop computes nothing that takes long."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """A small pool; Pillow, zlib and NumPy let go of the interpreter lock, so more threads than cores do not help."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="edge")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work(*args, **kwargs)` returns or raises, computed on a thread of the pool.

        A cancelled caller leaves the queue at once; work that has begun runs to its end, unheard.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Take no more work, drop what has not begun, and wait for no one."""
        self._pool.shutdown(wait=False, cancel_futures=True)
