"""Where the service is and how it is spoken to: what the two clients have in common."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from ganserve_client.attempts import Attempts, Clock, Patience
from ganserve_client.calls import Call
from ganserve_client.version import VERSION

USER_AGENT = f"ganserve-client/{VERSION}"


@dataclass(frozen=True)
class Connection:
    """The service's address, the headers of every request, and the patience of every call."""

    base_url: str
    headers: Mapping[str, str]
    patience: Patience

    def attempts(self, call: Call[Any]) -> Attempts:
        """The attempts of a call that starts now; all of them carry one request id."""
        return Attempts(self.patience, uuid.uuid4().hex, repeatable=call.repeatable)

    def request(self, http: httpx.Client | httpx.AsyncClient, call: Call[Any], attempts: Attempts) -> httpx.Request:
        """The request of the attempt at hand."""
        arguments = call.arguments()
        headers = {
            **arguments.pop("headers", {}),
            "Accept": call.accept,
            "X-Request-Id": attempts.request_id,
            "X-Request-Timeout-Ms": str(attempts.service_timeout_ms),
        }
        timeout = httpx.Timeout(attempts.remaining_s)
        return http.build_request(call.method, call.path, headers=headers, timeout=timeout, **arguments)


def connection(
    base_url: str, *, api_key: str | None, timeout_s: float, retries: int, clock: Clock = time.monotonic
) -> Connection:
    """A connection to `base_url`. Raises ValueError for an address that is none, or a time or number out of range."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{base_url!r} is no address: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{base_url!r} is no address such as http://localhost:8000")
    headers = {"User-Agent": USER_AGENT}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    return Connection(str(url).rstrip("/"), headers, Patience(timeout_s, retries, clock))
