"""How the subcommands without a server use one bundle."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
from prometheus_client import CollectorRegistry

from app import logs
from app.engines.acceleration import Acceleration
from app.engines.onnx import open_engine
from app.metrics import Metrics
from app.registry import LiveModel, ModelRegistry
from app.settings import Settings

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
DEVICE = click.option(
    "--device", metavar="auto|cpu|cuda[:N]", default="auto", show_default=True, help="What to run on."
)

Result = TypeVar("Result")


def with_model(bundle: Path, device: str, work: Callable[[LiveModel], Coroutine[Any, Any, Result]]) -> Result:
    """Load the bundle in a folder, which proves its golden images, run `work` with it, and free it."""
    logs.configure("console", "warning")
    settings = Settings.from_environment({}, device=device)
    opener = partial(open_engine, acceleration=Acceleration.of(settings))
    registry = ModelRegistry(settings, opener, Metrics(CollectorRegistry()))
    try:
        return asyncio.run(work(registry.load(bundle)))
    finally:
        registry.close()
