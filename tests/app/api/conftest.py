from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.main import create_app
from app.settings import Settings
from tests.fakes.bundles import write_bundle
from tests.fakes.client import AppClient, running

Serve = Callable[..., AppClient]
"""Starts an app with these settings and gives a client of it."""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of every kind; `tiny`, in two versions, is the default."""
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder, name="tiny", version=1, scores=True)
    write_bundle(folder, name="tiny", version=2, seed=1)
    write_bundle(folder, name="plain", conditional=False, truncation=False, channels=3, width=6)
    write_bundle(folder, name="lone", discriminator=False)
    write_bundle(folder, name="mirror", encoder=True)
    write_bundle(folder, name="plain-mirror", encoder=True, conditional=False, distribution="uniform", channels=3)
    return folder


def settings_of(models: Path, **changes: object) -> Settings:
    """Settings for tests: on the CPU, `tiny` the default."""
    return Settings.model_validate({"models": models, "device": "cpu", "default_model": "tiny", "threads": 1} | changes)


@pytest.fixture(scope="session")
def client(models: Path) -> Iterator[AppClient]:
    """A client of an app with the default settings, for tests that leave no trace in it."""
    with running(create_app(settings_of(models))) as client:
        yield client


@pytest.fixture
def serve(models: Path) -> Iterator[Serve]:
    """Makes clients of apps with settings of a test's own."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(running(create_app(settings_of(models, **changes))))
