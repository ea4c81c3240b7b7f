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
from functools import partial
from types import FrameType
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.api.acceptor import Acceptor
from app.api.gate import Gate
from app.api.lifecycle import Lifecycle

logger = logging.getLogger(__name__)

BACKLOG = 8192
"""Connections that the kernel may hold for us; past that it leaves them to try again, seconds later."""
_KEEP_ALIVE_S = 75
# Of the drain timeout, what is kept for cancelling stragglers, and for closing the models and leaving.
_CANCEL_SHARE = 0.1
_LEAVE_S = 0.5


class PatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose request head must be complete ten seconds after the connection, or its first byte.

    uvicorn itself waits for ever, so that idle sockets could hold every file descriptor. And what the `gate` refuses
    is answered here: making a task for it, and calling the application, would take ten times as long.
    """

    head_timeout_s: ClassVar[float] = 10.0
    _head_began: float | None = None
    _timer: TimerHandle | None = None
    _refusal: bytes | None = None

    def __init__(self, *args: Any, gate: Gate, **kwargs: Any) -> None:  # noqa: ANN401 -- as uvicorn has them
        super().__init__(*args, **kwargs)
        self._gate = gate

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
        # Behind an answer that is still to come, this one would come too early.
        if self._answered:
            keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
            self._refusal = self._gate.refusal(self.parser.get_method(), self.url, self.headers, keep_alive=keep_alive)
            if self._refusal is not None:
                return  # the clock runs until all of it is there
        self._head_began = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body; that of a refused request is dropped."""
        if self._refusal is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; one that was refused is answered at once."""
        if self._refusal is None:
            super().on_message_complete()
            return
        answer, self._refusal, self._head_began = self._refusal, None, None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.transport.write(answer)
        if self.parser.should_keep_alive():
            self.flow.pause_reading()
            self._gate.rest(self._read_again)
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            self.transport.close()

    @property
    def _answered(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # which uvicorn leaves out of its annotation
        return cycle is None or cycle.response_complete

    def _read_again(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

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
        gate: Gate,
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
        self._gate = gate
        self._acceptors: list[Acceptor] = []
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
            self._gate.open(asyncio.get_running_loop())
        return await super().on_tick(counter) or self._lifecycle.failure is not None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application and listen."""
        await super().startup(sockets=[])
        loop = asyncio.get_running_loop()
        for listener in sockets or ():
            listener.setblocking(False)  # noqa: FBT003 -- it has no name
            listener.listen(BACKLOG)
            acceptor = Acceptor(loop, listener, partial(self._protocol, loop))
            acceptor.start()
            self._acceptors.append(acceptor)

    def _protocol(self, loop: asyncio.AbstractEventLoop) -> PatientProtocol:
        return PatientProtocol(self.config, self.server_state, self.lifespan.state, loop, gate=self._gate)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let work under way end while new work is refused politely, then close everything."""
        self._lifecycle.begin_drain()
        self._gate.close()
        began = time.monotonic() if self._signalled is None else self._signalled
        left_s = began + self._drain_timeout_s - time.monotonic()
        _leave_after(left_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left_s - self._cancel_s - _LEAVE_S)):
                await self._until_idle()
        for acceptor in self._acceptors:
            acceptor.close()
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
