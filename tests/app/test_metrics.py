import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.metrics import Metrics

SERIES = {
    "gan_requests_total": "counter",
    "gan_rejected_total": "counter",
    "gan_images_total": "counter",
    "gan_cache_hits_total": "counter",
    "gan_cache_misses_total": "counter",
    "gan_cache_evictions_total": "counter",
    "gan_cache_bytes": "gauge",
    "gan_batches_total": "counter",
    "gan_queue_depth": "gauge",
    "gan_inflight_requests": "gauge",
    "gan_ready": "gauge",
    "gan_model_info": "gauge",
    "gan_model_load_failures_total": "counter",
    "gan_realness": "histogram",
    "gan_request_seconds": "histogram",
    "gan_queue_seconds": "histogram",
    "gan_inference_seconds": "histogram",
    "gan_encode_seconds": "histogram",
    "gan_batch_size": "histogram",
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def _text(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_the_series_are_those_of_the_contract_and_no_others(metrics: Metrics) -> None:
    told = dict(re.findall(r"^# TYPE (\S+) (\S+)$", _text(metrics), re.MULTILINE))
    assert {name: kind for name, kind in told.items() if not name.endswith("_created")} == SERIES


def test_every_series_is_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    assert [name for name in SERIES if name not in page] == []


def test_a_model_is_announced_with_its_series_at_zero(metrics: Metrics) -> None:
    depth = [3]
    metrics.serve_model("mnist", 2, "d" * 64, "CPUExecutionProvider", lambda: depth[0])
    value = metrics.registry.get_sample_value
    labels = {"name": "mnist", "version": "2", "digest": "d" * 64, "provider": "CPUExecutionProvider"}
    assert value("gan_model_info", labels) == 1
    assert value("gan_images_total", {"model": "mnist"}) == 0
    assert value("gan_batches_total", {"model": "mnist"}) == 0
    assert value("gan_queue_depth", {"model": "mnist"}) == 3
    depth[0] = 5
    assert value("gan_queue_depth", {"model": "mnist"}) == 5


def test_a_model_that_goes_takes_its_series_with_it(metrics: Metrics) -> None:
    before = _text(metrics)
    metrics.serve_model("mnist", 2, "d" * 64, "CPUExecutionProvider", lambda: 0)
    batches = metrics.batch_observer("mnist")
    metrics.load_failed("mnist")
    metrics.realness.labels("mnist").observe(0.5)
    metrics.withdraw_model("mnist", 2, "d" * 64, "CPUExecutionProvider")
    metrics.withdraw_model("mnist", 2, "d" * 64, "CPUExecutionProvider")
    assert [sample for family in metrics.model_info.collect() for sample in family.samples] == []
    assert metrics.registry.get_sample_value("gan_model_load_failures_total", {"model": "mnist"}) == 1
    metrics.forget_model("mnist")
    metrics.forget_model("mnist")
    assert _text(metrics) == before
    metrics.serve_model("mnist", 3, "e" * 64, "CPUExecutionProvider", lambda: 0)
    batches.batch_done(rows=1, inference_s=0.1)
    assert metrics.registry.get_sample_value("gan_batches_total", {"model": "mnist"}) == 1


def test_a_batch_is_counted_sized_and_timed(metrics: Metrics) -> None:
    metrics.batch_observer("mnist").batch_done(rows=7, inference_s=0.25)
    value = metrics.registry.get_sample_value
    assert value("gan_batches_total", {"model": "mnist"}) == 1
    assert (value("gan_batch_size_sum"), value("gan_batch_size_count")) == (7, 1)
    assert value("gan_inference_seconds_sum") == 0.25


def test_two_apps_in_a_process_do_not_share_series(metrics: Metrics) -> None:
    other = Metrics(CollectorRegistry())
    metrics.images.labels("m").inc()
    assert other.registry.get_sample_value("gan_images_total", {"model": "m"}) is None


def test_the_buckets_reach_the_default_deadline_and_the_largest_batch(metrics: Metrics) -> None:
    metrics.request_seconds.observe(29.9)
    metrics.batch_size.observe(1024)
    value = metrics.registry.get_sample_value
    assert value("gan_request_seconds_bucket", {"le": "30.0"}) == 1
    assert value("gan_batch_size_bucket", {"le": "1024.0"}) == 1
