"""Every Prometheus series of the service, bound to a registry that is given."""

from collections.abc import Callable
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""From a small image on a warm CPU (a millisecond or two) to the default deadline (30 s)."""
_FAST_SECONDS = (0.00025, 0.0005, *_SECONDS[:-2])
"""For the parts of a request, which on a GPU take fractions of a millisecond."""
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Powers of two, as batch sizes are chosen."""
_PROBABILITY = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Even steps with the ends drawn finer, where a generator that went wrong shows first."""


class Metrics:
    """One attribute per series; `registry` is fresh for each app, so two apps in a process do not mix."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "gan_requests", "Requests answered, by route and status code.", ["endpoint", "code"], registry=registry
        )
        self._requests: dict[tuple[str, str], Counter] = {}
        self.rejected = Counter(
            "gan_rejected", "Requests refused, by the code of the problem.", ["reason"], registry=registry
        )
        self.images = Counter("gan_images", "Images generated and handed over.", ["model"], registry=registry)
        self.cache_hits = Counter(
            "gan_cache_hits", "Images handed over that were there already, or being made.", ["model"], registry=registry
        )
        self.cache_misses = Counter(
            "gan_cache_misses", "Images that the cache was asked for and that were made.", ["model"], registry=registry
        )
        self.cache_evictions = Counter("gan_cache_evictions", "Images that made room in the cache.", registry=registry)
        self.cache_bytes = Gauge("gan_cache_bytes", "Memory of the cached images.", registry=registry)
        self.batches = Counter("gan_batches", "Batches run, of any network.", ["model"], registry=registry)
        self.queue_depth = Gauge("gan_queue_depth", "Images that wait for a batch.", ["model"], registry=registry)
        self.inflight_requests = Gauge("gan_inflight_requests", "Requests being worked on.", registry=registry)
        self.ready = Gauge("gan_ready", "1 while the service takes requests, else 0.", registry=registry)
        self.model_info = Gauge(
            "gan_model_info",
            "1 for each model version being served.",
            ["name", "version", "digest", "provider"],
            registry=registry,
        )
        self.load_failures = Counter(
            "gan_model_load_failures",
            "Bundles that could not be loaded while others were served.",
            ["model"],
            registry=registry,
        )
        self.realness = Histogram(
            "gan_realness",
            "Calibrated probability of being real, of generated images that the discriminator judged.",
            ["model"],
            buckets=_PROBABILITY,
            registry=registry,
        )
        self.request_seconds = Histogram(
            "gan_request_seconds", "From the request's first byte to its answer.", buckets=_SECONDS, registry=registry
        )
        self.queue_seconds = Histogram(
            "gan_queue_seconds", "Wait for the first batch.", buckets=_FAST_SECONDS, registry=registry
        )
        self.inference_seconds = Histogram(
            "gan_inference_seconds", "One batch in the engine.", buckets=_FAST_SECONDS, registry=registry
        )
        self.encode_seconds = Histogram(
            "gan_encode_seconds", "Pixels to the answer's bytes.", buckets=_FAST_SECONDS, registry=registry
        )
        self.batch_size = Histogram("gan_batch_size", "Images in a batch.", buckets=_ROWS, registry=registry)

    def request_done(self, endpoint: str, code: str, seconds: float | None) -> None:
        """Count a request; `seconds` None leaves its time out, as that of a probe."""
        series = self._requests.get((endpoint, code))
        if series is None:
            # There are as many as routes and status codes, and labels() takes longer than inc().
            series = self._requests[endpoint, code] = self.requests.labels(endpoint, code)
        series.inc()
        if seconds is not None:
            self.request_seconds.observe(seconds)

    def serve_model(self, name: str, version: int, digest: str, provider: str, queue_depth: Callable[[], int]) -> None:
        """Announce a model version, with every series of the model at zero; `queue_depth` is asked at each scrape."""
        self.model_info.labels(name, str(version), digest, provider).set(1)
        self.queue_depth.labels(name).set_function(queue_depth)
        for series in (self.images, self.cache_hits, self.cache_misses):
            series.labels(name)
        self.batches.labels(name)
        self.load_failures.labels(name)

    def withdraw_model(self, name: str, version: int, digest: str, provider: str) -> None:
        """Take back what `serve_model` announced of one version."""
        with suppress(KeyError):
            self.model_info.remove(name, str(version), digest, provider)

    def forget_model(self, name: str) -> None:
        """Remove every series of a model, of which no version is left."""
        for series in (
            self.queue_depth,
            self.images,
            self.batches,
            self.load_failures,
            self.realness,
            self.cache_hits,
            self.cache_misses,
        ):
            with suppress(KeyError):
                series.remove(name)

    def load_failed(self, name: str) -> None:
        """Count a bundle that could not be loaded."""
        self.load_failures.labels(name).inc()

    def batch_observer(self, model: str) -> "ModelBatches":
        """A listener for the batchers of a model."""
        return ModelBatches(self, model)


class ModelBatches:
    """Counts the batches of one model; see batching.BatchObserver."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._metrics = metrics
        self._model = model

    def batch_done(self, *, rows: int, inference_s: float) -> None:
        """See BatchObserver."""
        # Found anew each time: the series may have been removed, and made again, with an older version of the model.
        self._metrics.batches.labels(self._model).inc()
        self._metrics.batch_size.observe(rows)
        self._metrics.inference_seconds.observe(inference_s)
