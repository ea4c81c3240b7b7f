"""`gantrain export`."""

import re
from pathlib import Path
from typing import Literal

import click

from training.cli.measuring import EXTRACTOR, extractor_for, load_like
from training.cli.saying import say
from training.errors import ConfigError

MODEL_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the model, in lower case, digits and hyphens.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("models"), show_default=True, help="Model folder.")
@click.option("--version", "number", type=click.IntRange(min=1), default=None, help="Default: the next free one.")
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Data set; default: the run's own.")
@click.option("--license", "licence", default="Apache-2.0", show_default=True, help="Licence of the bundle.")
@click.option("--discriminator/--no-discriminator", default=True, show_default=True, help="Put D into the bundle.")
@click.option(
    "--precision", type=click.Choice(["float32", "float16"]), default="float32", show_default=True, help="Of G's graph."
)
@EXTRACTOR
def export(
    *,
    run: Path,
    name: str,
    out: Path,
    number: int | None,
    data: Path | None,
    licence: str,
    discriminator: bool,
    precision: Literal["float32", "float16"],
    extractor: Path | None,
) -> None:
    """Turn RUN, or one of its checkpoints, into a model bundle.

    Its ONNX graphs are proven equal to the networks, calibrated and measured, and there is a card.
    """
    from training.export import BundleOrder  # noqa: PLC0415
    from training.export import export as run_export  # noqa: PLC0415
    from training.players import TorchPlayers  # noqa: PLC0415

    if not MODEL_NAME.fullmatch(name):
        raise ConfigError("--name takes lower-case letters, digits and hyphens")
    players = TorchPlayers(run, device="cpu")
    split = load_like(data or players.config.data, players.shape)
    target = run_export(
        run,
        split,
        out,
        BundleOrder(name, number, licence, discriminator, precision),
        extractor=extractor_for(extractor, split),
        say=say,
    )
    click.echo(target)
