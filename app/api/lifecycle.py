"""A service's life: loading, ready, draining; and how many requests are under way."""

import asyncio

from app.errors import Draining, NotReady

_RETRY_LOADING_S = 1.0
_RETRY_DRAINING_S = 5.0


class Lifecycle:
    """Where the service stands, seen from one event loop; `begin_drain` alone may come from a signal handler."""

    def __init__(self) -> None:
        self._idle = asyncio.Event()
        self._idle.set()
        self._settled = asyncio.Event()
        self._loaded = False
        self._draining = False
        self._failure: Exception | None = None
        self._in_flight = 0

    @property
    def loaded(self) -> bool:
        """Whether every model is loaded, checked and warmed."""
        return self._loaded

    @property
    def draining(self) -> bool:
        """Whether the service has been told to stop."""
        return self._draining

    @property
    def failure(self) -> Exception | None:
        """Why loading failed, when it did."""
        return self._failure

    @property
    def in_flight(self) -> int:
        """Requests under way, health and metrics left out."""
        return self._in_flight

    def settle(self, failure: Exception | None) -> None:
        """Loading has ended, well when `failure` is None."""
        self._loaded = failure is None
        self._failure = failure
        self._settled.set()

    async def until_loaded(self) -> None:
        """Wait for loading to end; raises what it failed with."""
        await self._settled.wait()
        if self._failure is not None:
            raise self._failure

    def begin_drain(self) -> None:
        """Take no new work from now on; what is under way goes on. Saying it twice changes nothing."""
        self._draining = True

    def require_ready(self) -> None:
        """Raises Draining or NotReady unless work may be taken."""
        if self._draining:
            raise Draining("the service is shutting down", retry_after_s=_RETRY_DRAINING_S)
        if not self._loaded:
            raise NotReady("the models are still loading", retry_after_s=_RETRY_LOADING_S)

    def enter(self) -> None:
        """A request begins."""
        self._in_flight += 1
        self._idle.clear()

    def leave(self) -> None:
        """A request has ended."""
        self._in_flight -= 1
        if self._in_flight == 0:
            self._idle.set()

    async def until_idle(self) -> None:
        """Wait until no request is under way."""
        await self._idle.wait()
