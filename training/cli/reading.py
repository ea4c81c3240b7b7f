"""How the subcommands read a data set: loaded, with a word on what could not be read of it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from training.data import Split

DATA_HELP = "IDX directory, folder or zip of images, or packed file."


def read(path: Path, *, resolution: int | None, quiet: bool = False, name_skipped: bool = True) -> "Split":
    """The data set at `path`.

    Unless `quiet`, a bar on the terminal shows how far it is, for what is read file by file, and skipped images are
    named on standard error, which `name_skipped` leaves to the caller.
    """
    from training.data import load  # noqa: PLC0415
    from training.data.sets import tell_skipped  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("reading images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Folders of many images take minutes; where nobody looks, nothing is drawn.
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bars:
        task = bars.add_task("", visible=False)
        split = load(
            path,
            resolution=resolution,
            progress=lambda done, total: bars.update(task, completed=done, total=total, visible=True),
        )
    if split.skipped and name_skipped and not quiet:
        click.echo(tell_skipped(split), err=True)
    return split
