"""Runs `ganserve` in this process, without any GANSERVE_* variable of the machine."""

import os
from pathlib import Path

from click.testing import CliRunner, Result

from app.cli import main


def run(*arguments: str | Path) -> Result:
    """The outcome, whatever it is."""
    return CliRunner(env=dict.fromkeys(name for name in os.environ if name.startswith("GANSERVE_"))).invoke(
        main, [str(argument) for argument in arguments]
    )


def done(*arguments: str | Path) -> str:
    """The output of a command that succeeds."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output
