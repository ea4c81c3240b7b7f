"""Per-client rate limits: token buckets, and the middleware that draws from them."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.keys import is_guarded, presented_key
from app.errors import RateLimited

_MAX_CLIENTS = 10_000


class TokenBuckets:
    """One bucket per client: it holds `burst` tokens and gains `rate_per_s`, and a request takes one.

    The least recently seen clients are forgotten past 10,000, which bounds the memory and errs in the
    client's favour.
    """

    def __init__(self, rate_per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Take a token of the client's. Raises RateLimited, which says when there will be one again."""
        now = self._clock()
        tokens, seen = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - seen) * self._rate_per_s)
        granted = tokens >= 1
        self._buckets[client] = (tokens - 1 if granted else tokens, now)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if not granted:
            raise RateLimited("too many requests from this client", retry_after_s=(1 - tokens) / self._rate_per_s)


class RateLimitMiddleware:
    """Lets a request through if its client has a token left; health, metrics and docs are free.

    `by_key` says that keys have been checked before, so that a key is a client; without keys its address is.
    """

    def __init__(self, app: ASGIApp, buckets: TokenBuckets, *, by_key: bool) -> None:
        self._app = app
        self._buckets = buckets
        self._by_key = by_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or raise RateLimited."""
        if scope["type"] == "http" and scope["path"] != "/metrics" and is_guarded(scope["path"]):
            key = presented_key(scope) if self._by_key else None
            self._buckets.take(f"key {key!r}" if key is not None else f"address {_address(scope)}")
        await self._app(scope, receive, send)


def _address(scope: Scope) -> str:
    """The client's address; of IPv6 the /64, since a client usually has that many addresses."""
    host = str((scope.get("client") or ("unknown", 0))[0])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host
