"""One question, asked of the sync client and of the async one."""

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any, Protocol

from ganserve_client import AsyncClient, Client

_NONE: Mapping[str, Any] = {}


class FakeTime:
    """A clock that only sleeping moves, and what was slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Seconds since the beginning."""
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        """What Client calls to wait."""
        self.slept.append(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """What AsyncClient calls to wait."""
        self.slept.append(seconds)


class Ask(Protocol):
    """Makes a client of `base_url` with these settings, calls one of its methods, and closes it.

    `time` among the settings is a FakeTime.
    """

    def __call__(
        self, base_url: str, method: str, *arguments: object, settings: Mapping[str, Any] = _NONE, **options: object
    ) -> Any:  # noqa: ANN401 -- whatever that method returns
        """What the method returns or raises."""


def ask_sync(
    base_url: str, method: str, *arguments: object, settings: Mapping[str, Any] = _NONE, **options: object
) -> Any:  # noqa: ANN401 -- as above
    """See Ask."""
    given = dict(settings)
    if time := given.pop("time", None):
        given |= {"clock": time, "sleep": time.sleep}
    with Client(base_url, **given) as client:
        return getattr(client, method)(*arguments, **options)


def ask_async(
    base_url: str, method: str, *arguments: object, settings: Mapping[str, Any] = _NONE, **options: object
) -> Any:  # noqa: ANN401 -- as above
    """See Ask."""
    given = dict(settings)
    if time := given.pop("time", None):
        given |= {"clock": time, "sleep": time.sleep_async}

    async def run() -> Any:  # noqa: ANN401 -- as above
        async with AsyncClient(base_url, **given) as client:
            called = getattr(client, method)(*arguments, **options)
            return await called if inspect.isawaitable(called) else called

    return asyncio.run(run())


ASK: Mapping[str, Ask] = {"sync": ask_sync, "async": ask_async}
