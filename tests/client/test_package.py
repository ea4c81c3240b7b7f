"""The client as a distribution: what it loads, and what it does without."""

import subprocess
import sys
from pathlib import Path

import ganserve_client
from app import __version__
from tests.architecture.checkout import ROOT, text


def run_without_numpy(code: str) -> str:
    """What Python code prints where numpy cannot be imported and nothing of the project but the client can."""
    start = f"import sys; sys.path = [{str(ROOT / 'client')!r}, *sys.path[1:]]; sys.modules['numpy'] = None\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", start + code], check=True, capture_output=True, text=True, cwd=ROOT.anchor
    )
    return done.stdout.strip()


def test_it_loads_httpx_and_nothing_of_the_service() -> None:
    loaded = run_without_numpy(
        "import ganserve_client; print(*{name.partition('.')[0] for name in sys.modules if sys.modules[name]})"
    ).split()
    assert {"ganserve_client", "httpx"} <= set(loaded)
    assert set(loaded) & {"app", "bundle", "training", "torch", "onnxruntime", "fastapi", "pydantic", "PIL"} == set()


def test_without_numpy_only_arrays_are_missing() -> None:
    code = (
        "from ganserve_client import Client\n"
        "client = Client('http://localhost:1')\n"
        "print(client.image_url(1, model='mnist'))\n"
        "try:\n    client.array(seed=1)\n"
        "except ImportError as error:\n    print(error)\n"
    )
    assert run_without_numpy(code).splitlines() == [
        "http://localhost:1/images/mnist/1.png",
        "array() needs numpy: install ganserve-client[numpy]",
    ]


def test_it_is_released_with_the_service() -> None:
    assert ganserve_client.__version__ == __version__
    assert text("client/LICENSE") == text("LICENSE")


def test_it_says_that_it_is_typed() -> None:
    assert (Path(ganserve_client.__file__).parent / "py.typed").is_file()
    assert 'ganserve_client = ["py.typed"]' in text("client/pyproject.toml")


def test_every_public_name_exists() -> None:
    assert [name for name in ganserve_client.__all__ if not hasattr(ganserve_client, name)] == []
