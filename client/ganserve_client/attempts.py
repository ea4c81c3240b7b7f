"""How often a call is tried, and how long it waits in between; it neither sleeps nor sends."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from ganserve_client.errors import ApiError, Unreachable, error_of

Clock = Callable[[], float]
"""Seconds from some fixed moment, never going back."""

_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 8.0
# The service did none of the work, so that asking again asks for it once.
_REFUSED = frozenset({429, 503})
# Nothing was sent yet.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError)
# The service gives up this much sooner, so that its own answer, which says why, is still waited for.
_SERVICE_SHARE = 0.95


@dataclass(frozen=True)
class Patience:
    """What all calls of a client have in common.

    `timeout_s` is for a call with all its attempts; `retries` are the attempts after the first. Raises ValueError
    for a time that is not positive or a negative number of retries.
    """

    timeout_s: float
    retries: int
    clock: Clock

    def __post_init__(self) -> None:
        if not self.timeout_s > 0:
            raise ValueError("timeout_s must be positive")
        if self.retries < 0:
            raise ValueError("retries must not be negative")


class Attempts:
    """The attempts of one call, from its start on."""

    def __init__(self, patience: Patience, request_id: str, *, repeatable: bool) -> None:
        self.request_id = request_id
        self._patience = patience
        self._repeatable = repeatable
        self._ends = patience.clock() + patience.timeout_s
        self._failed = 0

    @property
    def remaining_s(self) -> float:
        """Seconds that the attempt at hand may take; never quite none, since it has been decided to make it."""
        return max(self._ends - self._patience.clock(), 0.001)

    @property
    def service_timeout_ms(self) -> int:
        """The deadline to give the service, in milliseconds."""
        return max(int(self.remaining_s * _SERVICE_SHARE * 1000), 1)

    def wait_after_answer_s(self, response: httpx.Response) -> float:
        """Seconds to wait before the next attempt. Raises the ApiError of an answer that ends the call."""
        error: ApiError = error_of(response)
        wait_s = self._wait_s(error.retry_after_s) if error.status in _REFUSED else None
        if wait_s is None:
            raise error
        return wait_s

    def wait_after_failure_s(self, failure: httpx.RequestError) -> float:
        """Seconds to wait before the next attempt. Raises Unreachable when the failure ends the call."""
        again = isinstance(failure, _UNSENT) or (self._repeatable and isinstance(failure, _BROKEN))
        wait_s = self._wait_s(None) if again else None
        if wait_s is None:
            reason = str(failure) or type(failure).__name__
            raise Unreachable(f"no answer from the service: {reason}", self.request_id) from failure
        return wait_s

    def _wait_s(self, asked_s: float | None) -> float | None:
        """Seconds to wait; None when the retries are spent, or the time would be before the wait is over."""
        wait_s = self._backoff_s() if asked_s is None else asked_s
        if self._failed >= self._patience.retries or self._patience.clock() + wait_s >= self._ends:
            return None
        self._failed += 1
        return wait_s

    def _backoff_s(self) -> float:
        """Twice as long each time, less a random part, so that clients refused together do not return together."""
        longest_s: float = min(_FIRST_WAIT_S * 2.0**self._failed, _LONGEST_WAIT_S)
        return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 -- nobody gains by guessing it
