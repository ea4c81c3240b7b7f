import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.checkout import ROOT
from tests.client.both import ASK, Ask
from tests.fakes.bundles import write_bundle

KEY = "a-key-for-the-tests-of-the-client"


@dataclass(frozen=True)
class Served:
    """Where a real service is, and where its models lie."""

    url: str
    models: Path


@contextmanager
def serving(*flags: str) -> Iterator[str]:
    """The address of a `ganserve serve` of its own, until the end of the block."""
    named = {name: value for name, value in os.environ.items() if not name.startswith("GANSERVE_")}
    environment: Mapping[str, str] = {**named, "PYTHONPATH": str(ROOT)}
    program = (sys.executable, "-c", "from app.cli import main; main(prog_name='ganserve')")
    command = [*program, "serve", "--port", "0", "--device", "cpu", "--threads", "1", "--log-format", "json", *flags]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        for line in server.stderr:
            found = json.loads(line) if line.startswith("{") else {}
            if found.get("message") == "ready":
                yield re.findall(r"http://[^/]+", found["docs"])[0]
                break
            print(line, end="")  # noqa: T201 -- pytest shows it if the service never gets ready
        else:
            pytest.fail("the service ended before it was ready")
        server.terminate()
        server.stderr.read()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service behind a key, with bundles of every kind; `tiny` is the default."""
    folder = tmp_path_factory.mktemp("client")
    models = folder / "models"
    write_bundle(models, name="tiny", version=1, encoder=True)
    write_bundle(models, name="plain", conditional=False, truncation=False, channels=3, width=6)
    write_bundle(models, name="lone", discriminator=False)
    keys = folder / "keys"
    keys.write_text(f"{KEY}\n")
    flags = ("--models", str(models), "--default-model", "tiny", "--api-keys-file", str(keys))
    with serving(*flags) as url:
        yield Served(url, models)


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Either client, so that every test proves both."""
    return ASK[request.param]
