"""The `gantrain` command."""

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.table import Table

from bundle import BundleError
from training.config import PRESETS, TrainingConfig
from training.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from training.data import Split
    from training.metrics.features import Extractor

MODEL_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class _Commands(click.Group):
    """A group whose TrainingErrors end in one line and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- click's own signature
        try:
            return super().invoke(ctx)
        except (TrainingError, BundleError) as error:
            click.echo(f"gantrain: {error}", err=True)
            sys.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ganserve", prog_name="gantrain")
def main() -> None:
    """Train a GAN, measure it, and export it as a model bundle for ganserve."""


_FLAGS: dict[str, Any] = {
    "resolution": click.INT,
    "network": click.Choice(["mlp", "dcgan"]),
    "loss": click.Choice(["minimax", "non-saturating"]),
    "conditional": None,
    "z_dim": click.INT,
    "latent": click.Choice(["normal", "uniform"]),
    "generator_width": click.INT,
    "discriminator_width": click.INT,
    "kimg": click.FLOAT,
    "batch_size": click.INT,
    "d_steps": click.INT,
    "noise_share": click.FLOAT,
    "class_weight": click.FLOAT,
    "g_lr": click.FLOAT,
    "d_lr": click.FLOAT,
    "beta1": click.FLOAT,
    "beta2": click.FLOAT,
    "ema_half_life_kimg": click.FLOAT,
    "lr_decay": None,
    "seed": click.INT,
    "device": click.Choice(["auto", "cpu", "cuda"]),
    "threads": click.INT,
    "report_every_kimg": click.FLOAT,
    "sample_every_kimg": click.FLOAT,
}


def _setting_flags(command: Any) -> Any:  # noqa: ANN401 -- click decorates callables of any shape
    """One flag per setting, described by the setting itself, so that the two cannot drift apart."""
    for name, kind in reversed(_FLAGS.items()):
        flag = "--" + name.replace("_", "-")
        text = TrainingConfig.model_fields[name].description
        if kind is None:
            command = click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)(command)
        else:
            command = click.option(flag, name, type=kind, default=None, help=text)(command)
    return command


@main.command()
@click.option("--preset", type=click.Choice(list(PRESETS)), default="dcgan", show_default=True, help="Where to start.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="IDX directory or folder of images.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on from the latest checkpoint in --out.")
@click.option(
    "--start-from",
    type=click.Path(path_type=Path),
    default=None,
    help="Begin with the networks of another run, or of one of its checkpoints.",
)
@click.option("--dry-run", is_flag=True, help="Print the settings and the networks' sizes, and stop.")
@_setting_flags
def fit(
    *,
    preset: str,
    data: Path,
    out: Path,
    resume: bool,
    start_from: Path | None,
    dry_run: bool,
    **settings: Any,  # noqa: ANN401 -- one keyword per setting
) -> None:
    """Play the game: train a generator and a discriminator.

    A preset names all settings; each flag below replaces one. Stop with Ctrl-C and go on with --resume.
    """
    from training.data import load  # noqa: PLC0415 -- torch takes seconds to import; --help does not need it
    from training.fit import fit as run_fit  # noqa: PLC0415
    from training.game import new_game  # noqa: PLC0415

    if resume and start_from is not None:
        raise ConfigError("--resume goes on with the run in --out; --start-from begins a new one: give one of the two")
    console = Console(stderr=True)
    config = TrainingConfig.from_preset(preset, data=data, **settings)
    split = load(data, resolution=config.resolution)
    height, width, channels = split.train.shape
    classes = f"{len(split.train.classes)} classes" if split.train.classes else "no classes"
    console.print(
        f"data  {split.train.name}: {len(split.train)} images {height}x{width}x{channels}, {classes}, ", end=""
    )
    console.print(f"{len(split.held_out)} held out")
    for name, value in config.model_dump(mode="json").items():
        console.print(f"  {name:22} {value}", highlight=False)
    if dry_run:
        game = new_game(config, split.train)
        for label, network in (("G", game.generator), ("D", game.discriminator)):
            console.print(f"{label}  {sum(p.numel() for p in network.parameters()):,} parameters on {game.device}")
        return
    try:
        run_fit(config, split, out, resume=resume, console=console, start_from=start_from)
    except KeyboardInterrupt:
        console.print(f"stopped; go on with: gantrain fit --resume --preset {preset} --data {data} --out {out} ...")
        sys.exit(130)
    console.print(f"done; next: gantrain export {out} --name NAME --out models")


_EXTRACTOR = click.option(
    "--extractor",
    type=click.Path(path_type=Path),
    default=None,
    help="Feature extractor file; by default the one shipped for this data set, if there is one.",
)


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="IDX directory or folder of images.")
@click.option("--images", type=click.IntRange(min=20), default=10_000, show_default=True, help="Images to generate.")
@click.option("--truncation", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Truncation psi.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@_EXTRACTOR
def evaluate(*, path: Path, data: Path, images: int, truncation: float, as_json: bool, extractor: Path | None) -> None:
    """Measure PATH, a run's folder or an exported bundle, against held-out real images."""
    from training.evaluate import evaluate as measure  # noqa: PLC0415
    from training.evaluate import open_players  # noqa: PLC0415

    players = open_players(path)
    split = _load_like(data, players.shape)
    result = measure(players, split, _extractor(extractor, split), images=images, truncation=truncation)
    if as_json:
        document = {name: metric.model_dump(exclude_none=True) for name, metric in result.metrics.items()}
        recognised = result.recognition.by_class if result.recognition else {}
        click.echo(json.dumps({"metrics": document, "recognised": recognised}, indent=2))
        return
    table = Table("metric", "value", "real images reach", "images")
    for name, metric in result.metrics.items():
        table.add_row(name, f"{metric.value:.4f}", "" if metric.floor is None else f"{metric.floor:.4f}", str(metric.n))
    Console().print(table)
    if result.recognition is not None:
        for name, count in result.recognition.by_class.items():
            click.echo(f"{count:4} of {result.recognition.images} recognised as {name}")


@main.command()
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
@_EXTRACTOR
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
    """Turn RUN into a model bundle: ONNX graphs proven equal to the networks, calibrated, measured, with a card."""
    from training.export import BundleOrder  # noqa: PLC0415
    from training.export import export as run_export  # noqa: PLC0415
    from training.players import TorchPlayers  # noqa: PLC0415

    if not MODEL_NAME.fullmatch(name):
        raise ConfigError("--name takes lower-case letters, digits and hyphens")
    players = TorchPlayers(run, device="cpu")
    split = _load_like(data or players.config.data, players.shape)
    target = run_export(
        run,
        split,
        out,
        BundleOrder(name, number, licence, discriminator, precision),
        extractor=_extractor(extractor, split),
        say=lambda line: click.echo(line, err=True),
    )
    click.echo(target)


@main.command("fit-extractor")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Data set with classes.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .safetensors file to write.")
@click.option("--epochs", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--resolution", type=click.IntRange(min=16), default=None, help="For folders of images.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def fit_extractor(*, data: Path, out: Path, epochs: int, resolution: int | None, seed: int) -> None:
    """Train the classifier of real images whose features and verdicts the metrics use."""
    from training.data import load  # noqa: PLC0415
    from training.metrics.features import train_extractor  # noqa: PLC0415

    split = load(data, resolution=resolution)
    extractor = train_extractor(
        split.train, split.held_out, out, epochs=epochs, seed=seed, report=lambda line: click.echo(line, err=True)
    )
    click.echo(f"{out}: {extractor.accuracy:.2%} right on held-out real images, SHA-256 {extractor.sha256}")


def _load_like(data: Path, shape: tuple[int, int, int]) -> "Split":
    from training.data import load  # noqa: PLC0415

    return load(data, resolution=shape[0])


def _extractor(path: Path | None, split: "Split") -> "Extractor | None":
    from training.metrics.features import load_extractor, shipped_extractor  # noqa: PLC0415

    return load_extractor(path) if path is not None else shipped_extractor(split.held_out)
