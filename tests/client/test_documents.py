"""The Python that the client's documents show runs as shown, each block by itself, on the bundled models."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.checkout import ROOT, text
from tests.client.conftest import serving

SHOWN = "http://localhost:8000"
BLOCKS = [
    pytest.param(block, id=f"{Path(document).name}-{number}")
    for document in ("docs/client.md", "client/README.md")
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", text(document), re.DOTALL | re.MULTILINE))
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a service with the bundled models."""
    with serving() as url:
        yield url


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_runs(block: str, url: str, tmp_path: Path) -> None:
    assert SHOWN in block
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "client")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.replace(SHOWN, url)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout or list(tmp_path.iterdir())
