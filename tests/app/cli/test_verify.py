import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.app.cli.command import done, run
from tests.fakes.bundles import write_bundle


def test_bundles_that_may_be_served_are_named_with_their_provider(bundle: Path, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "models", name="other")
    text = done("verify", bundle, other, "--device", "cpu")
    assert [line.split()[0] for line in text.splitlines()] == ["ok", "ok"]
    assert "tiny@1 on CPUExecutionProvider" in text
    (line,) = (json.loads(line) for line in done("verify", bundle, "--json", "--device", "cpu").splitlines())
    assert line["model"] == "tiny@1"
    assert line["golden"] > 0


def test_a_generator_that_makes_other_images_than_its_golden_ones_fails(bundle: Path, tmp_path: Path) -> None:
    good = write_bundle(tmp_path / "models", name="good")
    manifest = json.loads((bundle / "manifest.json").read_text())
    golden = np.load(bundle / manifest["golden"]["file"])
    np.save(bundle / manifest["golden"]["file"], golden ^ 0xFF)
    result = run("verify", bundle, good, "--device", "cpu")
    assert result.exit_code == 1
    assert [line.split()[0] for line in result.output.splitlines()] == ["FAILED", "ok"]
    assert "SHA-256" in result.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script_that_asks_this_command(shell: str) -> None:
    script = done("completion", shell)
    assert f"_GANSERVE_COMPLETE={shell}_complete" in script


def test_bash_accepts_its_script() -> None:
    script = done("completion", "bash")
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_an_unknown_shell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/ksh")
    assert run("completion").exit_code == 2
