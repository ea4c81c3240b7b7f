"""Which version of the code trained the weights."""

import subprocess
from pathlib import Path


def git_commit() -> str | None:
    """The commit that this package is checked out at, with `-dirty` when it was edited since; None outside git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
