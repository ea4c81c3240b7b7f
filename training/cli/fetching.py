"""How the subcommands fetch a published data set: with a bar for each file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

if TYPE_CHECKING:
    from training.data.published import PublishedFile, PublishedSet

MIRROR = click.option(
    "--mirror", default=None, help="URL of a folder with the data set's files, to download from there."
)


def fetch(published: "PublishedSet", out: Path, *, mirror: str | None) -> None:
    """Download what is not yet in the folder `out`, with bars on standard error."""
    from training.data.download import download  # noqa: PLC0415 -- keeps --help quick

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(file: "PublishedFile", received: int) -> None:
            if file.name not in tasks:
                tasks[file.name] = bars.add_task(file.name, total=file.size_bytes)
            bars.update(tasks[file.name], completed=received)

        download(published, out, progress=progress, mirror=mirror)
