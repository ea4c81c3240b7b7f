"""The gate in front of everything: work that has no chance is refused before anything is spent on it."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache

import httptools

from app.api.problems import TABLE, problem_of
from app.api.request_ids import RequestIds, given_id
from app.errors import CapacityError, Overloaded
from app.metrics import Metrics

logger = logging.getLogger(__name__)

_TICK_S = 0.025
_LAG_S = 0.05
"""An event loop that is this far behind keeps probes waiting for as long."""
_STANDING_S = 0.3
"""A burst makes it late once; overload keeps it late for this long."""
_MOST_AT_ONCE = 512
"""Requests that may come in between two looks: what they take of the loop, a tenth of a second, is enough."""
_CROWD = 128
"""Fewer requests than this cannot be an overload, however late the loop is: then something else takes the cores."""
_MOST_RESUMED = 512
_STEP_PER_S = 0.4
_LONGEST_STEP_S = 0.25
_MOST = 0.95
_NAMELESS = "0" * 32
_SMALL_BODY_BYTES = 64 * 1024
_MAKERS = frozenset({b"/generate", b"/interpolate", b"/invert"})
_EXEMPT = frozenset({b"/livez", b"/readyz", b"/healthz", b"/metrics", b"/admin/reload"})

_OVERLOADED = Overloaded("more requests come in than the service can look at", retry_after_s=1.0)

Hopeless = Callable[[], CapacityError | None]
"""Why the smallest request for images would be refused now, if it would."""

Headers = Sequence[tuple[bytes, bytes]]


class Gate:
    """Refuses requests as soon as their heads are read, with the very answer that they would get later.

    That is done in two cases. The queues of images are so full that even one image would be refused: then nothing that
    asks for images comes in. Or the event loop itself cannot keep up with the number of requests, which no queue of
    images shows: when it has been late all the time for a while, as CoDel tells a standing queue from a burst
    (Nichols and Jacobson, 2012), it turns away as many as it takes to be in time again. Probes and metrics always
    come in.

    It does so while it is `open`, and then it lives on its event loop.
    """

    def __init__(
        self,
        *,
        hopeless: Hopeless,
        in_flight: Callable[[], int],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hopeless = hopeless
        self._in_flight = in_flight
        self._metrics = metrics
        self._clock = clock
        self._ids = RequestIds()
        self._full: CapacityError | None = None
        self._looked = clock()
        self._late_since: float | None = None
        self._share = 0.0
        self._owed = 0.0
        self._came_in = 0
        self._resting: deque[Callable[[], None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def refused_share(self) -> float:
        """The part of all requests that the event loop is too late for, from 0 to 1."""
        return self._share

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to look at the queues and at the loop's lag."""
        self._tick(loop, self._clock())

    def close(self) -> None:
        """Stop looking, and let everything in."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._full, self._share = None, 0.0
        while self._resting:
            self._resting.popleft()()

    def rest(self, resume: Callable[[], None]) -> None:
        """A connection was refused and reads no more; `resume` is called when it may read again, in its turn.

        Else whoever asks again at once would be read again at once, and the loop would never come to anything else.
        """
        self._resting.append(resume)

    def look(self, lag_s: float) -> None:
        """Take in how late the event loop is."""
        self._full = self._hopeless()
        now = self._clock()
        if lag_s <= _LAG_S:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now
        standing = self._late_since is not None and now - self._late_since >= _STANDING_S
        if self._share:
            step = _STEP_PER_S * min(now - self._looked, _LONGEST_STEP_S)
            self._share = min(max(self._share + step * min(lag_s / _LAG_S - 1, 1.0), 0.0), _MOST)
            if not self._share:
                logger.info("every request comes in again")
        elif standing and self._in_flight() > _CROWD:
            self._share = 1 - _LAG_S / lag_s
            logger.warning("overloaded: the event loop is %.0f ms late; turning requests away", lag_s * 1000)
        self._came_in = 0
        self._looked = now
        for _ in range(min(len(self._resting), _MOST_RESUMED)):
            self._resting.popleft()()

    def refusal(self, method: bytes, url: bytes, headers: Headers, *, keep_alive: bool) -> bytes | None:
        """The whole answer, as bytes of HTTP/1.1, to a request that must not come in; None for one that may.

        What carries a large body, or one of unknown length, always comes in: it is refused further in, where bodies are
        limited.
        """
        if self._timer is None:
            return None
        if self._full is None and not self._share and self._came_in < _MOST_AT_ONCE:
            self._came_in += 1
            return None
        path = httptools.parse_url(url).path or b""
        error = self._error(method, path)
        if error is None or not _is_plain(method, headers):
            self._came_in += 1
            return None
        self._metrics.rejected.labels(TABLE[type(error)].code).inc()
        self._metrics.request_done(_endpoint(path), "503", None)
        if (given := given_id(dict(headers))) is not None:
            return _written(error, given, keep_alive=keep_alive)
        return _template(error, keep_alive=keep_alive).replace(_NAMELESS.encode(), next(self._ids).encode())

    def _error(self, method: bytes, path: bytes) -> CapacityError | None:
        if path in _EXEMPT:
            return None
        if self._full is not None and ((method == b"POST" and path in _MAKERS) or path.startswith(b"/images/")):
            return self._full
        # Spread evenly, without a generator of random numbers.
        self._owed += self._share
        if self._owed >= 1.0:
            self._owed -= 1.0
            return _OVERLOADED
        return None if self._came_in < _MOST_AT_ONCE else _OVERLOADED

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = self._clock()
        self.look(now - due)
        self._timer = loop.call_later(_TICK_S, self._tick, loop, now + _TICK_S)


def _is_plain(method: bytes, headers: Headers) -> bool:
    """Whether the answer does not depend on the rest of the request, and that is short."""
    length = 0 if method == b"GET" else None
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            length = int(value)
        elif name in {b"transfer-encoding", b"expect", b"upgrade"}:
            return False
    return length is not None and length <= _SMALL_BODY_BYTES


def _endpoint(path: bytes) -> str:
    """The route, as the metrics name it."""
    if path in {b"/generate", b"/discriminate", b"/interpolate", b"/invert"}:
        return path.decode()
    return "other"


def _written(error: CapacityError, request_id: str, *, keep_alive: bool) -> bytes:
    answer = problem_of(error).response(request_id)
    own = [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]
    own += [] if keep_alive else [(b"connection", b"close")]
    lines = b"".join(b"%b: %b\r\n" % header for header in [*answer.raw_headers, *own])
    return b"HTTP/1.1 503 Service Unavailable\r\n%b\r\n%b" % (lines, bytes(answer.body))


@lru_cache(maxsize=16)
def _template(error: CapacityError, *, keep_alive: bool) -> bytes:
    """The answer to a request without a name: all that is left to do is to put one in."""
    return _written(error, _NAMELESS, keep_alive=keep_alive)
