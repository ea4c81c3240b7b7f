"""`ganserve generate --url` against a real service: the files that a bundle makes without one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_service import ROOT, Start, environment, start

__all__ = ["start"]

pytestmark = pytest.mark.slow


def _generate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from app.cli import main; main()", "generate", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment())


def test_a_service_makes_the_files_that_a_bundle_makes(start: Start, tmp_path: Path) -> None:
    server, common = start(), ("--seeds", "0-99", "--per-class", "--truncation", "0.9", "--out")
    remote = _generate("--url", server.url, "--model", "tiny", *common, tmp_path / "remote")
    assert remote.returncode == 0, remote.stderr
    local = _generate(tmp_path / "models" / "tiny" / "1", "--device", "cpu", *common, tmp_path / "local")
    assert local.returncode == 0, local.stderr
    files = sorted(path.relative_to(tmp_path / "local") for path in (tmp_path / "local").rglob("*") if path.is_file())
    assert len(files) == 102
    for name in files:
        assert (tmp_path / "remote" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


def test_selection_and_refusals_come_from_the_service(start: Start, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a" * 40 + "\n")
    server = start(GANSERVE_API_KEYS_FILE=str(tmp_path / "keys"))
    best = ("--url", server.url, "-n", "3", "--best-of", "4", "--json", "--out", tmp_path / "best.npz")
    keyless = _generate(*best)
    assert keyless.returncode == 1
    assert "401 unauthorized" in keyless.stderr
    made = _generate(*best, "--key-file", tmp_path / "keys")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["images"] == 3
    wrong = _generate(*best[:-1], tmp_path / "x", "--key-file", tmp_path / "keys", "--class-id", "99")
    assert wrong.returncode == 1
    assert "classes are 0 to 2" in wrong.stderr
