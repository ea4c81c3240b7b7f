"""uvicorn, taught to drain: readiness flips first, work under way ends, and slow senders are cut off."""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from types import FrameType
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.lifecycle import Lifecycle

logger = logging.getLogger(__name__)

_KEEP_ALIVE_S = 75
# Of the drain timeout, what is kept for cancelling stragglers, and for closing the models and leaving.
_CANCEL_SHARE = 0.1
_LEAVE_S = 0.5


class PatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose request head must be complete ten seconds after the connection, or its first byte.

    uvicorn itself waits for ever, so that idle sockets could hold every file descriptor.
    """

    head_timeout_s: ClassVar[float] = 10.0
    _head_began: float | None = None
    _timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn types it
        """Start the clock."""
        super().connection_made(transport)
        self._head_began = self.loop.time()
        self._timer = self.loop.call_later(self.head_timeout_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request on a kept connection starts the clock again."""
        super().on_message_begin()
        if self._head_began is None:
            self._head_began = self.loop.time()

    def on_headers_complete(self) -> None:
        """The head is there; from here on the request's own deadline counts."""
        self._head_began = None
        super().on_headers_complete()

    def _look(self) -> None:
        # One timer per connection, not per request, so it finds the head of some later request, or none.
        began = self._head_began
        left = self.head_timeout_s if began is None else began + self.head_timeout_s - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(left, self._look)
        elif not self.transport.is_closing():
            self.transport.close()


class DrainingServer(uvicorn.Server):
    """Serves until a signal, then drains: at most `drain_timeout_s` from the signal to the end.

    `on_ready` is called once, when the models are loaded and the socket listens.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        lifecycle: Lifecycle,
        *,
        drain_timeout_s: float,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._cancel_s = max(1, int(drain_timeout_s * _CANCEL_SHARE))
        super().__init__(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                # Whoever connects could write X-Forwarded-For: rate limits go by the address that is seen.
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=self._cancel_s,
            )
        )
        self._lifecycle = lifecycle
        self._drain_timeout_s = drain_timeout_s
        self._on_ready: Callable[[], None] | None = on_ready
        self._signalled: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On the first signal flip readiness at once; the loop sees it within a tick."""
        if self._signalled is None:
            self._signalled = time.monotonic()
            self._lifecycle.begin_drain()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Announce readiness; leave when loading has failed."""
        if self._lifecycle.loaded and self._on_ready is not None:
            self._on_ready()
            self._on_ready = None
        return await super().on_tick(counter) or self._lifecycle.failure is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let work under way end while new work is refused politely, then close everything."""
        self._lifecycle.begin_drain()
        began = time.monotonic() if self._signalled is None else self._signalled
        left_s = began + self._drain_timeout_s - time.monotonic()
        _leave_after(left_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left_s - self._cancel_s - _LEAVE_S)):
                await self._until_idle()
        await super().shutdown(sockets)

    async def _until_idle(self) -> None:
        idle = asyncio.ensure_future(self._lifecycle.until_idle())
        try:
            while not idle.done() and not self.force_exit:
                await asyncio.wait({idle}, timeout=0.1)
        finally:
            idle.cancel()


def _leave_after(seconds: float) -> None:
    """End the process then, whatever threads still compute; a daemon, so that it holds up no earlier end."""

    def leave() -> None:
        logger.error("the drain timeout has passed; leaving with work unfinished")
        logging.shutdown()
        os._exit(1)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()
