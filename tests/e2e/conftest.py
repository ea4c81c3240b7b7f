"""A browser, a service with the bundled model, and pages that take note of what goes wrong in them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.test_service import ROOT, Running
from tests.fakes.bundles import write_bundle

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Opened:
    """A page of the playground, with its console's errors and every address that it asked for."""

    def __init__(self, page: Any) -> None:  # noqa: ANN401 -- Playwright is not there wherever types are checked
        self.page = page
        self.errors: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    @property
    def fragment(self) -> str:
        """The part of the address behind its #, in which the page keeps its view."""
        return str(urlsplit(self.page.url).fragment)

    def wait_for_wall(self, images: int = 64) -> None:
        """Until so many images have been drawn."""
        self.page.locator(".developed").nth(images - 1).wait_for()
        self.page.locator("#sheet:not([aria-busy])").wait_for()


Open = Callable[..., Opened]
"""Opens a page: `(url, **options of the browser context)`."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled digits, the default, and a model that has neither classes, truncation nor discriminator."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(ROOT / "models" / "mnist", folder / "mnist")
    write_bundle(folder, name="plain", discriminator=False, conditional=False, truncation=False, channels=3)
    return folder


@pytest.fixture(scope="module")
def served(models: Path) -> Iterator[Running]:
    server = Running(models)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, until the module's end: while it is there no event loop can be run beside it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    if CHROMIUM is None:
        pytest.skip("needs a chromium on the PATH")
    with playwright.sync_playwright() as running:
        # Containers seldom allow the sandbox, and the page is ours.
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:  # noqa: ANN401
    contexts = []

    def visit(url: str, **options: Any) -> Opened:  # noqa: ANN401
        contexts.append(browser.new_context(**({"viewport": {"width": 1440, "height": 960}} | options)))
        contexts[-1].set_default_timeout(20_000)
        opened = Opened(contexts[-1].new_page())
        opened.page.goto(url)
        return opened

    yield visit
    for context in contexts:
        context.close()
