"""`gantrain data`: look at a data set, pack it, or download a published one."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.cli.fetching import MIRROR, fetch
from training.cli.reading import read
from training.data.published import PUBLISHED
from training.errors import ConfigError

if TYPE_CHECKING:
    from training.data.inspection import Inspection

_PATH = click.argument("path", type=click.Path(path_type=Path))
_RESOLUTION = click.option(
    "--resolution", type=click.IntRange(min=4), default=None, help="Side in pixels; needed for folders and zips."
)


@click.group()
def data() -> None:
    """Look at a data set before it is trained on, pack it into one file, or download a published one."""


@data.command()
@_PATH
@_RESOLUTION
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--samples", type=click.Path(path_type=Path), default=None, help="PNG to write a grid of real images to.")
def check(*, path: Path, resolution: int | None, as_json: bool, samples: Path | None) -> None:
    """Count and measure the images at PATH, and warn of what may spoil a game; exit status 1 if it cannot be read."""
    from training.data.gallery import COLUMNS, choose_gallery  # noqa: PLC0415
    from training.data.inspection import inspect  # noqa: PLC0415

    if samples is not None and samples.suffix.lower() != ".png":
        raise ConfigError("--samples takes the name of a .png file")
    split = read(path, resolution=resolution, name_skipped=False)
    inspection = inspect(split)
    if as_json:
        click.echo(json.dumps(asdict(inspection), indent=2))
    else:
        _print(inspection)
    if samples is not None:
        from training.report import save_png, tile  # noqa: PLC0415 -- brings torch along

        try:
            samples.parent.mkdir(parents=True, exist_ok=True)
            save_png(tile(choose_gallery(split.train), columns=COLUMNS), samples)
        except OSError as error:
            raise ConfigError(f"{samples}: cannot be written ({error.strerror})") from None


def _print(inspection: "Inspection") -> None:
    kind = "grey" if inspection.channels == 1 else "colour"
    shape = f"{inspection.height}x{inspection.width}x{inspection.channels}"
    click.echo(f"{inspection.name}: {inspection.train} training and {inspection.held_out} held-out images")
    click.echo(f"{shape}, {kind}; grey levels have mean {_levels(inspection.mean)}, std {_levels(inspection.std)}")
    repeated = inspection.duplicates
    click.echo(
        f"duplicates: {repeated.train} in training, {repeated.held_out} in held out, {len(repeated.across)} across; "
        f"unreadable: {len(inspection.skipped)}"
    )
    if inspection.classes is None:
        click.echo("no classes")
    else:
        table = Table("class", "training", "held out")
        for one in inspection.classes:
            table.add_row(escape(one.name), str(one.train), str(one.held_out))
        Console().print(table)
    for warning in inspection.warnings:
        click.echo(f"warning: {warning}")


def _levels(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.1f}" for value in values)


@data.command()
@_PATH
@click.argument("out", type=click.Path(path_type=Path))
@_RESOLUTION
def pack(*, path: Path, out: Path, resolution: int | None) -> None:
    """Write the data set at PATH, cropped, resized and split, into the one file OUT (.safetensors)."""
    from training.data.packed import write_packed  # noqa: PLC0415

    split = read(path, resolution=resolution)
    digest = write_packed(split, out)
    size_mib = out.stat().st_size / 2**20
    click.echo(f"{out}: {len(split.train)} + {len(split.held_out)} images, {size_mib:.1f} MiB, SHA-256 {digest}")


@data.command()
@click.argument("name", type=click.Choice(list(PUBLISHED)))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the files.")
@MIRROR
def download(*, name: str, out: Path, mirror: str | None) -> None:
    """Fetch the published data set NAME; every file's SHA-256 is checked before it is kept."""
    published = PUBLISHED[name]
    fetch(published, out, mirror=mirror)
    click.echo(f"{out}: {name}, whose authors license it under {published.licence}; next: gantrain data check {out}")
