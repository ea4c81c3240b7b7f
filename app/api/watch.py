"""Work for a client who may leave, and for whom it may come too late: it ends with the first of the two."""

import asyncio
import time
from types import TracebackType
from typing import Self

from starlette.requests import Request

from app.api.problems import ClientGone, RequestTimeout
from app.errors import DeadlineExceeded, ServeError

_PATIENCE_S = 0.05
"""Until then nobody looks whether the client is still there: most answers are out before."""


class Watch:
    """A `with` block that is cancelled when the client leaves or the `deadline` (time.monotonic) passes.

    The block then raises ClientGone, DeadlineExceeded, or RequestTimeout if the body had not arrived. It costs one
    timer; a task that waits for the client to leave joins only when a request takes long.
    """

    def __init__(self, request: Request, deadline: float, *, has_body: bool = True) -> None:
        self._request = request
        self._deadline = deadline
        self._body_missing = has_body
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._leaving: asyncio.Task[None] | None = None
        self._reason: ServeError | None = None
        self._took_long = False

    def __enter__(self) -> Self:
        """Raises DeadlineExceeded when the deadline has passed."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the deadline has passed")
        self._timer = self._loop.call_later(min(_PATIENCE_S, left), self._look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching. Raises what the block was cancelled for, unless others want it cancelled too."""
        self._timer.cancel()
        if self._leaving is not None:
            self._leaving.remove_done_callback(self._left)
            self._leaving.cancel()
        if self._reason is not None and self._task is not None:
            wanted_by_others = self._task.uncancel() > 0
            if kind is not None and issubclass(kind, asyncio.CancelledError) and not wanted_by_others:
                raise self._reason from None

    def body_arrived(self) -> None:
        """The request's body has been read: from now on only the client's leaving is to be expected of it."""
        self._body_missing = False
        if self._took_long:
            self._watch_client()

    def _look(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._call_off(self._too_late())
            return
        self._timer = self._loop.call_later(left, self._look)
        if not self._took_long:
            self._took_long = True
            if not self._body_missing:
                self._watch_client()

    def _watch_client(self) -> None:
        self._leaving = self._loop.create_task(_client_leaves(self._request))
        self._leaving.add_done_callback(self._left)

    def _left(self, leaving: "asyncio.Task[None]") -> None:
        if not leaving.cancelled() and leaving.exception() is None:
            self._call_off(ClientGone("the client closed the connection"))

    def _too_late(self) -> ServeError:
        if self._body_missing:
            return RequestTimeout("the body did not arrive in time")
        return DeadlineExceeded("the deadline has passed")

    def _call_off(self, reason: ServeError) -> None:
        if self._reason is None and self._task is not None:
            self._reason = reason
            self._task.cancel()


async def _client_leaves(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
