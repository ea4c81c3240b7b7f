"""Everything that a call can fail with.

ClientError
├── ApiError              the service answered with a failure; `status`, `code`, `detail`, `errors`, `request_id`
│   ├── InvalidRequest    the request cannot be met as it is (400, 406, 413, 415, 422); `errors` says why
│   ├── Unauthorized      no key, or a wrong one (401, 403)
│   ├── NotFound          no such model, or it has no discriminator or no encoder (404)
│   ├── RateLimited       too many requests from this client (429); `retry_after_s`
│   └── Unavailable       the service cannot take it now (503); `retry_after_s`
└── NoAnswer              nothing that the service said; `request_id`
    ├── Unreachable       the connection failed, or the time was up
    └── UnexpectedAnswer  a success whose body is not what the service sends
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from ganserve_client.retry_after import retry_after_s

_PROBLEM = "application/problem+json"
_MAX_TEXT_CHARS = 200


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with a request: where, and what."""

    location: str
    message: str


@dataclass(frozen=True)
class Problem:
    """A failure as an answer tells it (RFC 9457); `code` is None when the answer is not the service's own."""

    status: int
    title: str
    detail: str
    code: str | None = None
    request_id: str | None = None
    errors: tuple[FieldError, ...] = ()
    retry_after_s: float | None = None


class ClientError(Exception):
    """Anything that a call can fail with."""


class ApiError(ClientError):
    """The service answered with a failure."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        problem = self.problem
        wrong = "; ".join(f"{item.location}: {item.message}" for item in problem.errors)
        said = f"{problem.status} {problem.code or problem.title}: {problem.detail}" + (f" ({wrong})" if wrong else "")
        return f"{said} [request {problem.request_id}]" if problem.request_id else said

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def code(self) -> str | None:
        """The service's stable name for the failure; None when something else answered, such as a proxy."""
        return self.problem.code

    @property
    def title(self) -> str:
        """What the code means, for people."""
        return self.problem.title

    @property
    def detail(self) -> str:
        """What happened, for people."""
        return self.problem.detail

    @property
    def request_id(self) -> str | None:
        """The request's id, which the service's log lines carry."""
        return self.problem.request_id

    @property
    def errors(self) -> tuple[FieldError, ...]:
        """What is wrong with the request, field by field."""
        return self.problem.errors

    @property
    def retry_after_s(self) -> float | None:
        """Seconds after which the service asks to be tried again; None where it does not say."""
        return self.problem.retry_after_s


class InvalidRequest(ApiError):  # noqa: N818 -- the service's own name for it
    """The request cannot be met as it is; sending it again changes nothing."""


class Unauthorized(ApiError):  # noqa: N818 -- as above
    """The service wants a key, or does not know this one."""


class NotFound(ApiError):  # noqa: N818 -- as above
    """There is no such model or version, or it lacks the network that was asked for: `code` says which."""


class RateLimited(ApiError):  # noqa: N818 -- as above
    """This client asks too often, and went on being told so until the retries or the time were spent."""


class Unavailable(ApiError):  # noqa: N818 -- as above
    """The service was full, loading or leaving until the retries or the time were spent."""


class NoAnswer(ClientError):  # noqa: N818 -- as above
    """A call that ended without anything the service said; `request_id` is what its log would call the request."""

    def __init__(self, message: str, request_id: str) -> None:
        super().__init__(message, request_id)
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.args[0]} [request {self.request_id}]"


class Unreachable(NoAnswer):
    """The connection failed, or the time was up. The cause is httpx's own exception."""


class UnexpectedAnswer(NoAnswer):
    """A success whose body is not what the service sends; something else may be answering in its place."""


_KINDS: Mapping[int, type[ApiError]] = {
    **dict.fromkeys((400, 406, 413, 415, 422), InvalidRequest),
    **dict.fromkeys((401, 403), Unauthorized),
    404: NotFound,
    429: RateLimited,
    503: Unavailable,
}


def error_of(response: httpx.Response) -> ApiError:
    """The error that a failed answer, its body read, stands for; any status and any body will do."""
    return _KINDS.get(response.status_code, ApiError)(_problem_of(response))


def _problem_of(response: httpx.Response) -> Problem:
    status, wait_s = response.status_code, retry_after_s(response.headers)
    request_id = response.headers.get("x-request-id")
    if response.headers.get("content-type", "").startswith(_PROBLEM):
        try:
            return _read(response.json(), status, request_id, wait_s)
        except (AttributeError, LookupError, TypeError, ValueError):
            pass  # told below as the answer of a stranger
    text = response.text.strip()[:_MAX_TEXT_CHARS]
    return Problem(status, response.reason_phrase, text, request_id=request_id, retry_after_s=wait_s)


def _read(body: Any, status: int, request_id: str | None, wait_s: float | None) -> Problem:  # noqa: ANN401 -- JSON
    errors = tuple(FieldError(str(item["location"]), str(item["message"])) for item in body.get("errors") or ())
    return Problem(
        status,
        str(body["title"]),
        str(body["detail"]),
        code=str(body["code"]),
        request_id=str(body.get("request_id") or request_id or "") or None,
        errors=errors,
        retry_after_s=wait_s,
    )
