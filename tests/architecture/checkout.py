"""The checkout as tests read it: its files, its documents, and the commands that they show."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def files() -> list[Path]:
    """Every file that git knows or would take, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return sorted({Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()})


def documents() -> list[Path]:
    """Every Markdown file but the model cards, which are written by export."""
    return [path for path in files() if path.suffix == ".md" and path.parts[0] != "models"]


def text(path: Path | str) -> str:
    """The text of a file, named relative to the root."""
    return (ROOT / path).read_text(encoding="utf-8")


def shown_commands(path: Path | str) -> Iterator[list[str]]:
    """The words of every command in a document's bash blocks, without leading NAME=value words."""
    for block in re.findall(r"^```bash\n(.*?)^```", text(path), flags=re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words:
                yield words
