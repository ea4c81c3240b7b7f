"""One table: error class -> status and code; and the problem+json body (RFC 9457) that carries them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app import errors
from app.errors import FieldError, ServeError

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 10
_MAX_DETAIL_CHARS = 400
_MAX_LOCATION_CHARS = 60
_MAX_MESSAGE_CHARS = 160


class RequestTimeout(errors.RequestError):
    """The body did not arrive before the request's deadline."""


class ClientGone(errors.RequestError):
    """The client closed its connection before the answer was ready; nobody reads this."""


@dataclass(frozen=True)
class Row:
    """A row of the table: HTTP status, machine-readable code, and the title that goes with both."""

    status: int
    code: str
    title: str


TABLE: Mapping[type[ServeError], Row] = {
    errors.InvalidJson: Row(400, "invalid_json", "The body is not acceptable JSON"),
    errors.InvalidRequest: Row(422, "invalid_request", "The request is not valid"),
    errors.InvalidImage: Row(422, "invalid_image", "An image cannot be used"),
    errors.ModelNotFound: Row(404, "model_not_found", "No such model or version"),
    errors.DiscriminatorUnavailable: Row(404, "discriminator_unavailable", "The model serves no discriminator"),
    errors.EncoderUnavailable: Row(404, "encoder_unavailable", "The model has no encoder"),
    errors.RouteNotFound: Row(404, "not_found", "No such resource"),
    errors.MethodNotAllowed: Row(405, "method_not_allowed", "The resource does not take this method"),
    errors.NotAcceptable: Row(406, "not_acceptable", "No representation that the client accepts"),
    RequestTimeout: Row(408, "request_timeout", "The body took too long to arrive"),
    errors.PayloadTooLarge: Row(413, "payload_too_large", "The request is too large"),
    errors.UnsupportedMediaType: Row(415, "unsupported_media_type", "The media type is not supported"),
    errors.Unauthorized: Row(401, "unauthorized", "A valid API key is needed"),
    errors.RateLimited: Row(429, "rate_limited", "Too many requests"),
    ClientGone: Row(499, "client_closed_request", "The client closed the connection"),
    errors.ModelFailure: Row(500, "model_error", "The model failed"),
    errors.QueueFull: Row(503, "queue_full", "The queue is full"),
    errors.Overloaded: Row(503, "overloaded", "Too many requests at once"),
    errors.NotReady: Row(503, "not_ready", "The service is not ready"),
    errors.Draining: Row(503, "draining", "The service is shutting down"),
    errors.DeadlineExceeded: Row(504, "deadline_exceeded", "The deadline has passed"),
}
INTERNAL = Row(500, "internal_error", "The service failed")
NOT_LIVE = Row(503, "not_live", "The service has to be restarted")
# The client is not coming back on a connection whose request was never read to its end.
_CLOSING = (errors.PayloadTooLarge, errors.UnsupportedMediaType, RequestTimeout, errors.Draining, errors.Unauthorized)


class ProblemError(BaseModel):
    """One thing that is wrong with the request: where, and what; never the value that was sent."""

    location: str
    message: str


class ProblemBody(BaseModel):
    """An RFC 9457 problem. `code` is stable and meant for programs, `detail` for people."""

    model_config = ConfigDict(
        title="Problem",
        json_schema_extra={
            "example": {
                "type": "urn:ganserve:error:invalid_request",
                "title": "The request is not valid",
                "status": 422,
                "detail": "the request is not valid",
                "code": "invalid_request",
                "request_id": "5f2b8a6e0c1d4e7f9a3b5c7d9e1f2a4b",
                "errors": [{"location": "seed", "message": "must be a whole number"}],
            }
        },
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemError] | None = Field(None, max_length=MAX_ERRORS)


@dataclass(frozen=True)
class Problem:
    """A failure as HTTP says it."""

    row: Row
    detail: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, request_id: str) -> Response:
        """The answer; its body stays under 4 KiB whatever the failure."""
        body: dict[str, object] = {
            "type": f"urn:ganserve:error:{self.row.code}",
            "title": self.row.title,
            "status": self.row.status,
            "detail": self.detail[:_MAX_DETAIL_CHARS],
            "code": self.row.code,
            "request_id": request_id,
        }
        if self.errors:
            body["errors"] = [
                {"location": item.location[:_MAX_LOCATION_CHARS], "message": item.message[:_MAX_MESSAGE_CHARS]}
                for item in self.errors[:MAX_ERRORS]
            ]
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(orjson.dumps(body), self.row.status, headers, MEDIA_TYPE)


def row_of(kind: type[ServeError]) -> Row | None:
    """The table's row for an error class, or for the nearest of its bases that has one."""
    return next((TABLE[base] for base in kind.__mro__ if base in TABLE), None)


def problem_of(error: Exception) -> Problem:
    """The problem that tells a client of `error`; anything unforeseen is a 500 without details."""
    if isinstance(error, HTTPException):
        error = _named(error)
    row = row_of(type(error)) if isinstance(error, ServeError) else None
    if row is None:
        return Problem(INTERNAL, "the failure has been logged under this request's id")
    headers: dict[str, str] = {}
    if isinstance(error, errors.CapacityError | errors.RateLimited):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, errors.Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="ganserve"'
    if isinstance(error, _CLOSING):
        headers["Connection"] = "close"
    if isinstance(error, _MethodNotAllowed):
        headers["Allow"] = error.allow
    found = error.errors if isinstance(error, errors.InvalidRequest) else ()
    return Problem(row, str(error), found, headers)


class _MethodNotAllowed(errors.MethodNotAllowed):
    """A MethodNotAllowed that knows what is allowed."""

    allow: str


def _named(error: HTTPException) -> Exception:
    """What the framework's own exception is called here."""
    if error.status_code == 404:
        return errors.RouteNotFound("there is nothing at this path")
    if error.status_code == 405:
        methods = set((error.headers or {}).get("Allow", "").replace(" ", "").split(",")) - {""}
        named = _MethodNotAllowed("the resource does not take this method")
        named.allow = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
        return named
    return error
