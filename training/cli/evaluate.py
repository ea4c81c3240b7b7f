"""`gantrain evaluate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from training.cli.measuring import EXTRACTOR, data_of, extractor_for, load_like
from training.cli.reading import DATA_HELP
from training.cli.saying import say
from training.errors import ConfigError

if TYPE_CHECKING:
    from training.evaluate import Evaluation


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=None,
    help=f"{DATA_HELP} Default: the run's own, or data/ and the name of the bundle's set, if that is published.",
)
@click.option("--images", type=click.IntRange(min=20), default=10_000, show_default=True, help="Images to generate.")
@click.option("--truncation", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Truncation psi.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--memorisation", is_flag=True, help="Compare with the nearest training images; takes a minute.")
@click.option(
    "--neighbours",
    type=click.Path(path_type=Path),
    default=None,
    help="The same, with a PNG of the generated images that are nearest to a training image, beside that one.",
)
@click.option("--classifier", is_flag=True, help="Train a classifier on generated images alone; takes minutes.")
@click.option("--probe", is_flag=True, help="Train a linear classifier on D's features; takes a minute.")
@click.option(
    "--inception-weights",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Also measure in InceptionV3's features, with the weights in this file; slow without a GPU.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="Model folder: write the figures of a bundle into its next version there.",
)
@EXTRACTOR
def evaluate(
    *,
    path: Path,
    data: Path | None,
    images: int,
    truncation: float,
    as_json: bool,
    memorisation: bool,
    neighbours: Path | None,
    classifier: bool,
    probe: bool,
    inception_weights: Path | None,
    out: Path | None,
    extractor: Path | None,
) -> None:
    """Measure PATH, a run's folder, one of its checkpoints, or a bundle, against held-out real images."""
    from training import studies  # noqa: PLC0415 -- torch takes seconds to import; --help does not need it
    from training.evaluate import evaluate as measure  # noqa: PLC0415
    from training.evaluate import open_players  # noqa: PLC0415
    from training.game import pick_device  # noqa: PLC0415
    from training.metrics.inception import Inception  # noqa: PLC0415
    from training.players import OnnxPlayers  # noqa: PLC0415
    from training.remeasurement import publish_measured  # noqa: PLC0415
    from training.report import save_png  # noqa: PLC0415

    inception = None if inception_weights is None else Inception(inception_weights, device=pick_device("auto"))
    players = open_players(path)
    if out is not None and not isinstance(players, OnnxPlayers):
        raise ConfigError("--out is for the figures of a bundle, which gantrain export makes of a run")
    if out is not None and truncation != 1:
        raise ConfigError("--out takes figures at truncation 1, as a manifest has no others")
    if data is None:
        data = data_of(players.manifest) if isinstance(players, OnnxPlayers) else players.config.data
    split = load_like(data, players.shape)
    measured_by = extractor_for(extractor, split)
    memorisation = memorisation or neighbours is not None
    if memorisation and measured_by is None:
        raise ConfigError("--memorisation needs an extractor; train one with gantrain fit-extractor")
    result = measure(players, split, measured_by, images=images, truncation=truncation, say=say)
    if memorisation and measured_by is not None:
        say("looking for the nearest training images")
        share, picture = studies.memorisation(players, split, measured_by, images=images, truncation=truncation)
        result.metrics["memorised"] = share
        if neighbours is not None:
            save_png(picture, neighbours)
    if classifier:
        result.metrics["classification_score"] = studies.classification_score(
            players, split, images=images, truncation=truncation, say=say
        )
    if probe:
        say("training a linear classifier on D's features")
        result.metrics["feature_probe"] = studies.feature_probe(players, split)
    if inception is not None:
        say("comparing in InceptionV3's features")
        found = studies.in_inception(players, split, inception, images=images, truncation=truncation)
        result.metrics.update(found)
    _print(result, as_json=as_json)
    if out is not None and isinstance(players, OnnxPlayers):
        say(f"written to {publish_measured(path, players, out, result, extractor=measured_by)}")


def _print(result: "Evaluation", *, as_json: bool) -> None:
    if as_json:
        document = {name: metric.model_dump(exclude_none=True) for name, metric in result.metrics.items()}
        recognised = result.recognition.by_class if result.recognition else {}
        click.echo(json.dumps({"metrics": document, "recognised": recognised}, indent=2))
        return
    table = Table("metric", "value", "real images reach", "images")
    for name, metric in result.metrics.items():
        table.add_row(name, f"{metric.value:.4g}", "" if metric.floor is None else f"{metric.floor:.4g}", str(metric.n))
    Console().print(table)
    if result.recognition is not None:
        for name, count in result.recognition.by_class.items():
            click.echo(f"{count:4} of {result.recognition.images} recognised as {name}")
