"""What the routes work with: one Service per app, handed to them through the request."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from app.api.gate import Gate
from app.api.lifecycle import Lifecycle
from app.api.workers import Workers
from app.cache import ImageCache
from app.generation import Generation
from app.metrics import Metrics
from app.registry import LiveModel, ModelRegistry
from app.reloader import Reloader
from app.settings import Settings


@dataclass(frozen=True)
class Service:
    """Everything that create_app wired together."""

    settings: Settings
    registry: ModelRegistry
    reloader: Reloader
    metrics: Metrics
    lifecycle: Lifecycle
    gate: Gate
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
