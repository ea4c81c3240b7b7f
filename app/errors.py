"""Everything the service can fail at, by name; what HTTP makes of it is in api/problems.py.

ServeError
├── RequestError                    the request cannot be met as it is; sending it again changes nothing
│   ├── InvalidJson                 the body is not the JSON that two readers would take alike
│   ├── InvalidRequest              a field has a wrong value; `errors` says which
│   ├── InvalidImage                an uploaded image is truncated, corrupt or too small
│   ├── ModelNotFound               no model has this name or version
│   ├── DiscriminatorUnavailable    the model has no discriminator, or it is switched off
│   ├── EncoderUnavailable          the model has no encoder
│   ├── NotAcceptable               no representation that the client accepts
│   ├── UnsupportedMediaType        a body or an upload of another kind
│   ├── PayloadTooLarge             a body or an image over its limit
│   ├── Unauthorized                no key, or a wrong one
│   ├── RateLimited                 too many requests from this client; `retry_after_s`
│   ├── RouteNotFound               nothing is at this path
│   └── MethodNotAllowed            the path does not take this method
├── CapacityError                   the same request may succeed later; `retry_after_s`
│   ├── QueueFull                   the queue of images is full
│   ├── Overloaded                  more requests come in than can be looked at
│   ├── NotReady                    models are being loaded, or a batcher has died
│   └── Draining                    the service is shutting down
├── DeadlineExceeded                the deadline passed first; queued work is not run
├── ModelFailure                    the engine failed or its answer is not finite; details are in the log alone
└── StartupError                    the process cannot start; its message is the one line that says why
    ├── SettingsError               a GANSERVE_* setting is unknown or wrong
    ├── ProviderUnavailable         the device that was asked for cannot be used
    └── ModelLoadError              a bundle cannot be loaded, verified or warmed
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with a request: where, and what; never the value that was sent."""

    location: str
    message: str


class ServeError(Exception):
    """Anything that the service names; the message is safe to show to a client."""


class RequestError(ServeError):
    """The request cannot be met as it is."""


class InvalidJson(RequestError):  # noqa: N818 -- named for what the client reads: invalid_json
    """The body is not JSON, or not the JSON that every reader would take alike."""


class InvalidRequest(RequestError):  # noqa: N818 -- as above
    """A field has a wrong value."""

    def __init__(self, message: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class InvalidImage(RequestError):  # noqa: N818 -- as above
    """An uploaded image is truncated, corrupt or too small."""


class ModelNotFound(RequestError):  # noqa: N818 -- as above
    """No model has this name or version."""


class DiscriminatorUnavailable(RequestError):  # noqa: N818 -- as above
    """The model has no discriminator, or it is switched off."""


class EncoderUnavailable(RequestError):  # noqa: N818 -- as above
    """The model has no encoder."""


class NotAcceptable(RequestError):  # noqa: N818 -- as above
    """No representation of the answer is one that the client accepts."""


class UnsupportedMediaType(RequestError):  # noqa: N818 -- as above
    """A body or an uploaded image is of a kind that is not taken."""


class PayloadTooLarge(RequestError):  # noqa: N818 -- as above
    """A body or an image is over its limit."""


class Unauthorized(RequestError):  # noqa: N818 -- as above
    """The request carries no key, or one that is not known."""


class RateLimited(RequestError):  # noqa: N818 -- as above
    """This client asks too often."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RouteNotFound(RequestError):  # noqa: N818 -- as above
    """Nothing is at this path."""


class MethodNotAllowed(RequestError):  # noqa: N818 -- as above
    """The path does not take this method."""


class CapacityError(ServeError):
    """The service cannot take the request now; it may `retry_after_s` seconds later."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(CapacityError):  # noqa: N818 -- named for what the client reads: queue_full
    """The queue of images is full."""


class Overloaded(CapacityError):  # noqa: N818 -- as above
    """More requests come in than can be looked at."""


class NotReady(CapacityError):  # noqa: N818 -- as above
    """Models are being loaded, or a batcher has died."""


class Draining(CapacityError):  # noqa: N818 -- as above
    """The service is shutting down and takes no new work."""


class DeadlineExceeded(ServeError):  # noqa: N818 -- as above
    """The request's deadline passed before its answer was ready."""


class ModelFailure(ServeError):  # noqa: N818 -- as above
    """The engine failed, or its answer is not finite."""


class StartupError(ServeError):
    """The process cannot start; the message is one line for the operator."""


class SettingsError(StartupError):
    """A GANSERVE_* setting is unknown or has a wrong value."""


class ProviderUnavailable(StartupError):  # noqa: N818 -- a state of the machine, not of the program
    """The device that was asked for cannot be used."""


class ModelLoadError(StartupError):
    """A bundle cannot be loaded, verified or warmed."""
