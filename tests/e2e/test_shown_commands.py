"""What the README and the quickstart show works, word for word, on the bundled models and a real service."""

import argparse
import json
import os
import re
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.architecture.checkout import ROOT, shown_commands, text
from training.metrics.features import SHIPPED, load_extractor

GANSERVE = (sys.executable, "-c", "from app.cli import main; main(prog_name='ganserve')")
DOCUMENTS = ("README.md", "docs/quickstart.md")
SHOWN_HOST = "localhost:8000"

pytestmark = pytest.mark.slow


def _environment() -> dict[str, str]:
    named = {name: value for name, value in os.environ.items() if not name.startswith("GANSERVE_")}
    return {**named, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """host:port of `ganserve serve` on the bundled models."""
    command = [*GANSERVE, "serve", "--port", "0", "--device", "cpu", "--log-format", "json"]
    with subprocess.Popen(command, cwd=ROOT, env=_environment(), stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        for line in server.stderr:
            found = json.loads(line) if line.startswith("{") else {}
            if found.get("message") == "ready":
                yield re.findall(r"//([^/]+)/", found["docs"])[0]
                break
            print(line, end="")  # noqa: T201 -- pytest shows it if the service never gets ready
        else:
            pytest.fail("the service ended before it was ready")
        server.terminate()
        server.stderr.read()
    assert server.returncode == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to run commands in, with the models where the commands expect them."""
    (tmp_path / "models").symlink_to(ROOT / "models")
    return tmp_path


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_request_that_a_document_shows_is_answered(document: str, host: str, folder: Path) -> None:
    requests = [words[1:] for words in shown_commands(document) if words[0] == "curl"]
    assert requests
    for words in requests:
        answer = _curl(words, host, folder)
        assert answer


def test_the_seven_of_the_readme_is_a_seven(host: str, folder: Path) -> None:
    first = next(words for words in shown_commands("README.md") if words[0] == "curl")
    _curl(first[1:], host, folder)
    image = np.array(Image.open(folder / "seven.png"))
    _, judged = load_extractor(SHIPPED / "mnist.safetensors")(image.reshape(1, 28, 28, 1))
    assert judged.tolist() == [7]


def test_the_python_of_the_quickstart_makes_the_image_that_curl_makes(host: str, folder: Path) -> None:
    first = next(words for words in shown_commands("README.md") if words[0] == "curl")
    _curl(first[1:], host, folder)
    pixels = np.asarray(Image.open(folder / "seven.png"))
    (folder / "seven.png").unlink()
    (code,) = re.findall(r"^```python\n(.*?)^```", text("docs/quickstart.md"), re.DOTALL | re.MULTILINE)
    subprocess.run([sys.executable, "-c", code.replace(SHOWN_HOST, host)], cwd=folder, check=True)
    assert np.array_equal(np.asarray(Image.open(folder / "seven.png")), pixels)


def test_the_commands_that_need_no_server_run_as_shown(folder: Path) -> None:
    for name in ("inspect", "generate", "score", "invert"):
        words = next(words for words in shown_commands("docs/quickstart.md") if words[:2] == ["ganserve", name])
        done = subprocess.run(
            [*GANSERVE, *words[1:]], cwd=folder, env=_environment(), capture_output=True, text=True, check=True
        )
        assert done.stdout
    assert len(list((folder / "sevens").glob("seed*.png"))) == 16
    assert len(list((folder / "again").glob("seed*.png"))) == 2


def _curl(words: list[str], host: str, folder: Path) -> bytes:
    """Do what curl would with these words; raises HTTPError for anything but success."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-X", dest="method", default="GET")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data")
    parser.add_argument("-F", dest="forms", action="append", default=[])
    parser.add_argument("-o", dest="output")
    parser.add_argument("url")
    given = parser.parse_args(words)
    headers = dict(header.split(": ", 1) for header in given.headers)
    body = None if given.data is None else given.data.encode()
    if given.forms:
        boundary = uuid.uuid4().hex
        headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
        body = b"".join(_part(boundary, form, folder) for form in given.forms) + f"--{boundary}--\r\n".encode()
    url = f"http://{given.url.replace(SHOWN_HOST, host)}"
    request = urllib.request.Request(url, data=body, headers=headers, method=given.method)
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 -- the service above
        content = bytes(answer.read())
    if given.output:
        (folder / given.output).write_bytes(content)
    return content


def _part(boundary: str, form: str, folder: Path) -> bytes:
    name, _, file = form.partition("=@")
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'
    return f"{head}Content-Type: image/png\r\n\r\n".encode() + (folder / file).read_bytes() + b"\r\n"
