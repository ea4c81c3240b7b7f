"""`gantrain fit`."""

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from training.config import PRESETS, TrainingConfig
from training.errors import ConfigError

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


@click.command()
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
