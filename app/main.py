"""The composition root: settings in, a wired app out; nothing else makes anything."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NoReturn

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from app.api import (
    admin,
    discriminate,
    docs,
    generate,
    health,
    images,
    invert,
    latent_walks,
    metrics,
    models,
    openapi,
    playground,
)
from app.api.direct import DirectMiddleware
from app.api.gate import Gate
from app.api.keys import KeyMiddleware, read_keys
from app.api.lifecycle import Lifecycle
from app.api.problems import problem_of
from app.api.rate_limit import RateLimitMiddleware, TokenBuckets
from app.api.request_scope import HeadMiddleware, RequestMiddleware, context_of
from app.api.service import Service
from app.api.workers import Workers
from app.cache import ImageCache
from app.engines.acceleration import Acceleration
from app.engines.onnx import open_engine as open_onnx_engine
from app.errors import CapacityError, StartupError
from app.metrics import Metrics
from app.registry import ModelRegistry, OpenEngine
from app.reloader import Reloader
from app.settings import Settings

logger = logging.getLogger(__name__)

_EDGE_THREADS = 4
# The framework asks the environment for a tracer on every request; what there is to measure is on /metrics.
_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
# A batch that is running may end; past this the process leaves without it.
_CLOSE_TIMEOUT_S = 5.0


def create_app(settings: Settings, *, open_engine: OpenEngine | None = None) -> FastAPI:
    """An app for these settings, independent of every other one in the process.

    Models load on a thread once the app starts, so that `/livez` answers meanwhile; `app.state.service.lifecycle`
    says how that went. Raises SettingsError when the file of API keys is of no use.
    """
    series = Metrics(CollectorRegistry())
    if open_engine is None:
        open_engine = partial(open_onnx_engine, acceleration=Acceleration.of(settings))
    registry = ModelRegistry(settings, open_engine, series)
    reloader = Reloader(registry.reload, watch_s=settings.watch_s)
    workers, cache = Workers(_EDGE_THREADS), _cache(settings, series)
    lifecycle = Lifecycle()
    # What the cache has needs no room in a queue.
    time_s = settings.request_timeout_s if cache is None else None
    gate = Gate(
        hopeless=partial(_refusal, registry, time_s),
        in_flight=lambda: lifecycle.in_flight,
        metrics=series,
    )
    service = Service(settings, registry, reloader, series, lifecycle, gate, workers, cache)
    keys = None if settings.api_keys_file is None else read_keys(settings.api_keys_file)
    app = _App(
        title="ganserve",
        telemetry=_NO_TELEMETRY,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.service = service
    app.openapi = lambda: _document(app, with_keys=keys is not None)  # type: ignore[method-assign]  # as FastAPI asks
    app.add_exception_handler(HTTPException, _reraise)
    app.add_exception_handler(Exception, _answer)
    # Each wraps the one before it.
    working = (generate, images, discriminate, invert, latent_walks, health)
    hot = [route for routes in working for route in routes.router.routes]
    app.surround(partial(DirectMiddleware, routes=hot))
    if settings.rate_limit_per_s is not None:
        buckets = TokenBuckets(settings.rate_limit_per_s, settings.rate_limit_burst)
        app.surround(partial(RateLimitMiddleware, buckets=buckets, by_key=keys is not None))
    if keys is not None:
        app.surround(partial(KeyMiddleware, digests=keys))
    log = settings.access_log
    app.surround(partial(RequestMiddleware, lifecycle=service.lifecycle, metrics=series, access_log=log))
    app.surround(HeadMiddleware)
    for routes in (generate, discriminate, invert, images, latent_walks, models, health, docs):
        app.include_router(routes.router)
    app.include_router(playground.router if settings.playground else docs.way_in)
    if settings.admin:
        app.include_router(admin.router)
    if settings.metrics_port is None:
        app.include_router(metrics.router)
    return app


class _App(FastAPI):
    """FastAPI inside our own middlewares, so that what they answer, or call directly, never goes through its own."""

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 -- as FastAPI has them
        super().__init__(**kwargs)
        self._surrounding: list[Callable[[ASGIApp], ASGIApp]] = []

    def surround(self, middleware: Callable[[ASGIApp], ASGIApp]) -> None:
        """Wrap all that there is so far."""
        self._surrounding.append(middleware)

    def build_middleware_stack(self) -> ASGIApp:
        """FastAPI's own inside, ours around it."""
        stack = super().build_middleware_stack()
        for wrap in self._surrounding:
            stack = wrap(stack)
        return stack


def _refusal(registry: ModelRegistry, time_s: float | None) -> CapacityError | None:
    """Why anything that has `time_s` seconds would be refused, if it would; None lets all of it come in."""
    return None if time_s is None else registry.catalogue.refusal(time_s)


def _cache(settings: Settings, series: Metrics) -> ImageCache | None:
    if not settings.cache_bytes:
        return None
    cache = ImageCache(settings.cache_bytes, on_eviction=series.cache_evictions.inc)
    series.cache_bytes.set_function(lambda: cache.size_bytes)
    return cache


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    lifecycle, registry, series = service.lifecycle, service.registry, service.metrics
    series.ready.set_function(lambda: float(lifecycle.loaded and not lifecycle.draining and registry.alive))
    series.inflight_requests.set_function(lambda: lifecycle.in_flight)
    loop = asyncio.get_running_loop()
    _on_thread(loop, "loader", registry.load_all, lambda failure: _settle(service, failure))
    yield
    lifecycle.begin_drain()
    service.reloader.close()
    service.workers.close()
    closed = asyncio.Event()
    _on_thread(loop, "closer", registry.close, lambda _: closed.set())
    try:
        await asyncio.wait_for(closed.wait(), _CLOSE_TIMEOUT_S)
    except TimeoutError:
        logger.error("a model is still busy after %.0f s; leaving without it", _CLOSE_TIMEOUT_S)


def _settle(service: Service, failure: Exception | None) -> None:
    service.lifecycle.settle(failure)
    if failure is None:
        service.reloader.start()


def _on_thread(
    loop: asyncio.AbstractEventLoop, name: str, work: Callable[[], None], done: Callable[[Exception | None], None]
) -> None:
    """Run `work` on a thread that no exit waits for; `done` hears on the loop what it raised, or None."""

    def run() -> None:
        failure: Exception | None = None
        try:
            work()
        except Exception as error:  # whatever it is, it has to reach the one who waits
            failure = error
            if not isinstance(error, StartupError):
                logger.exception("the %s failed", name)
        try:
            loop.call_soon_threadsafe(done, failure)
        except RuntimeError:  # the loop has ended: nobody waits any more
            logger.debug("the %s outlived the event loop", name)

    threading.Thread(target=run, name=name, daemon=True).start()


async def _answer(request: Request, error: Exception) -> Response:
    """What the framework sends for what a route of its own raised; it raises it again, for RequestMiddleware."""
    return problem_of(error).response(context_of(request).id)


async def _reraise(_: Request, error: Exception) -> NoReturn:
    """Let one kind of problem be made of everything, the framework's own exceptions included."""
    raise error


def _document(app: FastAPI, *, with_keys: bool) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = openapi.document(app, with_keys=with_keys)
    return app.openapi_schema
