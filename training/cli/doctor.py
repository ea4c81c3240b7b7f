"""`gantrain doctor`."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from training.cli.measuring import EXTRACTOR, extractor_for, load_like
from training.config import CONFIG_FILE
from training.errors import CheckpointError, DataError

if TYPE_CHECKING:
    from training.doctor import Consultation


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Data set; default: the run's own.")
@click.option("--json", "as_json", is_flag=True, help="Print the diagnosis as JSON.")
@EXTRACTOR
def doctor(*, run: Path, data: Path | None, as_json: bool, extractor: Path | None) -> None:
    """Say what is wrong with RUN, if anything: a verdict, the figures behind it, and what to do."""
    from training.doctor import consult, measure_players, read_record  # noqa: PLC0415 -- torch takes seconds to import
    from training.players import TorchPlayers  # noqa: PLC0415

    record = read_record(run)
    diversity, training_images = None, None
    try:
        players = TorchPlayers(run)
        split = load_like(data or record.config.data, players.shape)
    except (CheckpointError, DataError) as error:
        if data is not None and isinstance(error, DataError):
            raise
        click.echo(f"the record alone is judged: {error}", err=True)
    else:
        training_images = len(split.train)
        diversity = measure_players(players, split, extractor_for(extractor, split))
    consultation = consult(record, diversity, training_images=training_images)
    if as_json:
        click.echo(json.dumps(consultation.document(), indent=2))
    else:
        _print(consultation, run)


def _print(consultation: "Consultation", run: Path) -> None:
    from training.checkpoint import BEST_FILE  # noqa: PLC0415 -- it imports torch too

    click.echo(f"verdict   {consultation.diagnosis.verdict}")
    for number, evidence in enumerate(consultation.diagnosis.evidence):
        click.echo(f"{'' if number else 'evidence':10}{evidence}")
    click.echo(f"remedy    {consultation.remedy.advice}")
    if consultation.remedy.flags:
        click.echo(f"{'':10}{_command(run, consultation.remedy.flags)}")
    if (best := consultation.best) is not None:
        click.echo(f"best      FID {best.fid:.4g} at {best.images_seen / 1000:.1f} kimg, kept in {run / BEST_FILE}")
    if consultation.diversity is not None:
        images = consultation.diversity
        click.echo(f"measured  {images.images} images, in {images.space}")


def _command(run: Path, flags: Sequence[str]) -> str:
    """The call that does what the remedy says: to go on with the run, or to play anew with its other settings."""
    anew = () if "--resume" in flags else ("--config", str(run / CONFIG_FILE))
    return shlex.join(["gantrain", "fit", *anew, "--out", str(run if not anew else f"{run}-2"), *flags])
