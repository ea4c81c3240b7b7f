"""What surrounds every request: its id, its deadline, its metrics, and its failures as problems."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import NamedTuple

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.lifecycle import Lifecycle
from app.api.problems import problem_of
from app.api.request_ids import RequestIds, given_id
from app.errors import Draining, InvalidRequest, ServeError
from app.logs import REQUEST_ID
from app.metrics import Metrics

logger = logging.getLogger(__name__)
# Scrapes and probes are no work: they neither hold up a drain nor fill the log.
_UNTRACKED = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})


class RequestContext(NamedTuple):
    """A request's id, the moment (time.monotonic) it came in, and its headers by lower-case name.

    Of a header that came several times the last counts.
    """

    id: str
    began: float
    headers: Mapping[bytes, bytes]

    def header(self, name: bytes) -> str | None:
        """The text of a header; None without it."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


def context_of(connection: HTTPConnection) -> RequestContext:
    """The context that RequestMiddleware gave this request."""
    context = connection.scope["state"]["context"]
    if not isinstance(context, RequestContext):
        raise TypeError("the request did not pass RequestMiddleware")
    return context


def deadline_of(connection: HTTPConnection, default_s: float) -> float:
    """When (time.monotonic) the answer is due: `X-Request-Timeout-Ms` after arrival, at most `default_s` after.

    Raises InvalidRequest when the header is not a positive whole number.
    """
    context = context_of(connection)
    given, began = context.header(b"x-request-timeout-ms"), context.began
    if given is None:
        return began + default_s
    if not (given.isascii() and given.isdigit() and len(given) < 11 and int(given) > 0):
        raise InvalidRequest("X-Request-Timeout-Ms must be a positive whole number of milliseconds")
    return began + min(int(given) / 1000, default_s)


class RequestMiddleware:
    """Gives each request its id and context, counts and logs it, and turns what it raises into a problem."""

    def __init__(self, app: ASGIApp, *, lifecycle: Lifecycle, metrics: Metrics, access_log: bool) -> None:
        self._app = app
        self._ids = RequestIds()
        self._access_log = access_log
        self._lifecycle = lifecycle
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        context = RequestContext(given_id(headers) or next(self._ids), time.monotonic(), headers)
        # A request that is refused by a middleware further in has no `state` of the framework's own.
        scope.setdefault("state", {})["context"] = context
        token = REQUEST_ID.set(context.id)
        tracked = scope["path"] not in _UNTRACKED
        exchange = _Exchange(send, context.id)
        if tracked:
            self._lifecycle.enter()
        try:
            await self._serve(scope, receive, exchange)
        finally:
            if tracked:
                self._lifecycle.leave()
            self._account(scope, context, exchange, tracked=tracked)
            REQUEST_ID.reset(token)

    async def _serve(self, scope: Scope, receive: Receive, exchange: "_Exchange") -> None:
        try:
            await self._app(scope, receive, exchange.send)
        except asyncio.CancelledError:
            # The server cancels what is still under way when the drain has lasted too long.
            if not self._lifecycle.draining or exchange.status is not None:
                raise
            error: Exception = Draining("the service has shut down before the answer was ready", retry_after_s=5.0)
        except Exception as raised:
            error = raised
        else:
            return
        problem = problem_of(error)
        if problem.row.status >= 500 and not (isinstance(error, ServeError) and problem.row.status > 500):
            logger.error("request failed: %s", problem.row.code, exc_info=error)
        self._metrics.rejected.labels(problem.row.code).inc()
        if exchange.status is None:
            await problem.response(exchange.request_id)(scope, receive, exchange.send)

    def _account(self, scope: Scope, context: RequestContext, exchange: "_Exchange", *, tracked: bool) -> None:
        seconds = time.monotonic() - context.began
        endpoint = getattr(scope.get("route"), "path", "other")
        code = str(exchange.status or 500)
        self._metrics.request_done(endpoint, code, seconds if tracked else None)
        if self._access_log:
            level = logging.INFO if tracked else logging.DEBUG
            fields = {"method": scope["method"], "endpoint": endpoint, "status": code, "ms": round(seconds * 1000, 1)}
            logger.log(level, "request", extra=fields)


class _Exchange:
    """One answer on its way out: stamps headers and remembers the status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self._request_id = request_id.encode("ascii")
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # Nothing in the service sets either of them itself.
            own = ((b"x-request-id", self._request_id), (b"x-content-type-options", b"nosniff"))
            message = {**message, "headers": [*message.get("headers", ()), *own]}
        await self._send(message)


class HeadMiddleware:
    """Answers HEAD as GET without the body, wherever there is a GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, without_body)
