"""A registry over a folder of bundles, as the service has it, closed at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from app.engines.onnx import open_engine as open_onnx_engine
from app.metrics import Metrics
from app.registry import ModelRegistry, OpenEngine
from app.settings import Settings


@contextmanager
def served(models: Path, *, open_engine: OpenEngine = open_onnx_engine, **settings: object) -> Iterator[ModelRegistry]:
    """The loaded registry of `models`; `settings` as Settings.from_environment takes them, on the CPU."""
    chosen = Settings.from_environment(
        {}, **{"models": models, "device": "cpu", "sessions": 1, "threads": 1, **settings}
    )
    registry = ModelRegistry(chosen, open_engine, Metrics(CollectorRegistry()))
    registry.load_all()
    try:
        yield registry
    finally:
        registry.close()
