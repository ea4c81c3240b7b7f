"""What the routes work with: one Service per app, handed to them through the request."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import HTTPConnection, Request

from app.api.lifecycle import Lifecycle
from app.api.problems import ClientGone
from app.api.request_scope import remaining_s
from app.api.workers import Workers
from app.cache import ImageCache
from app.errors import DeadlineExceeded
from app.generation import Generation
from app.metrics import Metrics
from app.registry import LiveModel, ModelRegistry
from app.reloader import Reloader
from app.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class Service:
    """Everything that create_app wired together."""

    settings: Settings
    registry: ModelRegistry
    reloader: Reloader
    metrics: Metrics
    lifecycle: Lifecycle
    workers: Workers
    cache: ImageCache | None

    def count(self, model: LiveModel, generation: Generation, *, encode_s: float) -> None:
        """Put images that are being handed over into the metrics."""
        self.metrics.images.labels(model.name).inc(len(generation.images))
        self.metrics.queue_seconds.observe(generation.queue_s)
        self.metrics.encode_seconds.observe(encode_s)
        for image in generation.images:
            if image.realness is not None:
                self.metrics.realness.labels(model.name).observe(image.realness)


def service_of(connection: HTTPConnection) -> Service:
    """The service behind this request's app."""
    service = connection.app.state.service
    if not isinstance(service, Service):
        raise TypeError("the app was not made by create_app")
    return service


async def while_wanted(request: Request, work: Coroutine[Any, Any, T], *, deadline: float) -> T:
    """What `work` returns or raises; it is cancelled when the client leaves or the deadline passes.

    The request's body must have been read. Raises ClientGone and DeadlineExceeded (time.monotonic).
    """
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_client_leaves(request))
    try:
        await asyncio.wait({task, leaving}, timeout=remaining_s(deadline), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if leaving.done():
            raise ClientGone("the client closed the connection")
        raise DeadlineExceeded("the deadline has passed")
    finally:
        leaving.cancel()
        task.cancel()
        # Only once it has ended is its work out of the queue.
        await asyncio.wait({task})


async def _client_leaves(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
