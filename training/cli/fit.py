"""`gantrain fit`."""

import os
import shlex
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from rich.console import Console

from training.cli.fetching import MIRROR, fetch
from training.cli.measuring import EXTRACTOR, extractor_for
from training.cli.reading import DATA_HELP, read
from training.config import CONFIG_FILE, DEFAULT_PRESET, PRESETS, TrainingConfig, read_settings
from training.data.published import PUBLISHED
from training.errors import ConfigError


def _setting_flags(command: Any) -> Any:  # noqa: ANN401 -- click decorates callables of any shape
    """One flag per setting, described by the setting itself, so that the two cannot drift apart."""
    for name, field in reversed(TrainingConfig.model_fields.items()):
        if name in {"preset", "data"}:
            continue
        flag, kind = "--" + name.replace("_", "-"), _kind(field.annotation)
        if kind is click.BOOL:
            command = click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=field.description)(command)
        else:
            command = click.option(flag, name, type=kind, default=None, help=field.description)(command)
    return command


def _kind(annotation: Any) -> click.ParamType[Any]:  # noqa: ANN401 -- any type that a setting has
    """What click makes of a setting's type; ranges are the setting's own to check."""
    options = get_args(annotation)
    if get_origin(annotation) is Literal:
        return click.Choice(options)
    if options and get_origin(annotation) is not tuple:  # annotated, or optional
        return _kind(options[0])
    kinds: dict[Any, click.ParamType[Any]] = {int: click.INT, float: click.FLOAT, bool: click.BOOL}
    return kinds.get(annotation, click.STRING)


@click.command()
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), default=None, help=f"Where to start.  [default: {DEFAULT_PRESET}]"
)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default=None,
    help="Where to start instead: a JSON file of settings, such as a run's config.json.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=None,
    help=f"{DATA_HELP} A preset named after a published set has it in data/, and downloads it if it is not there.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder of the run; by default runs/ and the name of such a preset.",
)
@MIRROR
@click.option("--resume", is_flag=True, help="Go on from the latest checkpoint in --out, with that run's settings.")
@click.option(
    "--start-from",
    type=click.Path(path_type=Path),
    default=None,
    help="Begin with the networks of another run, or of one of its checkpoints.",
)
@EXTRACTOR
@click.option("--dry-run", is_flag=True, help="Print the settings and the networks' sizes, and stop.")
@_setting_flags
def fit(
    *,
    preset: str | None,
    file: Path | None,
    data: Path | None,
    out: Path | None,
    mirror: str | None,
    resume: bool,
    start_from: Path | None,
    dry_run: bool,
    extractor: Path | None,
    **settings: Any,  # noqa: ANN401 -- one keyword per setting
) -> None:
    """Play the game: train a generator and a discriminator.

    A preset names all settings; a file may name some or all, and each flag below replaces one. Stop with Ctrl-C and go
    on with --resume.
    """
    from training.checkpoint import (  # noqa: PLC0415 -- torch takes seconds to import; --help does not need it
        BEST_FILE,
        quality_of_best,
    )
    from training.fit import fit as run_fit  # noqa: PLC0415
    from training.game import new_game  # noqa: PLC0415

    if resume and start_from is not None:
        raise ConfigError("--resume goes on with the run in --out; --start-from begins a new one: give one of the two")
    leads = os.environ.get("RANK", "0") == "0"  # torchrun starts several of these, and one is to tell
    console = Console(stderr=True, quiet=not leads)
    started = _start(preset, file, out if resume else None)
    preset = str(started.get("preset", DEFAULT_PRESET))
    out = out or _run_of(preset)
    if data is None and "data" not in started:
        data = _set_of(preset, mirror)
    config = TrainingConfig.from_settings(started, data=data, **settings)
    split = read(config.data, resolution=config.resolution, quiet=not leads)
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
    measured_by = extractor_for(extractor, split) if config.evaluate_every_kimg else None
    outcome = run_fit(config, split, out, resume=resume, console=console, start_from=start_from, extractor=measured_by)
    if not leads:
        return
    if outcome.stopped is not None:
        console.print(f"stopped and saved at {outcome.game.images_seen / 1000:.1f} kimg; go on with:")
        console.print(f"  {_again()}", highlight=False, soft_wrap=True)
        sys.exit(128 + outcome.stopped)
    order = f"--name {preset if preset in PUBLISHED else 'NAME'} --out models"
    console.print(f"done; next: gantrain export {out} {order}", soft_wrap=True)
    best = quality_of_best(out)
    if best is not None and best.images_seen < outcome.game.images_seen:
        console.print(f"FID was lowest at {best.images_seen / 1000:.1f} kimg, {best.fid:.4g}; of that state:")
        console.print(f"  gantrain export {out / BEST_FILE} {order}", highlight=False, soft_wrap=True)


def _start(preset: str | None, file: Path | None, resumed: Path | None) -> dict[str, Any]:
    """The settings that flags are to replace: those of a preset, of a file, or of the run that is gone on with."""
    if file is not None:
        if preset is not None:
            raise ConfigError("--preset and --config both say where to start: give one of the two")
        return read_settings(file)
    if preset is None and resumed is not None and (resumed / CONFIG_FILE).is_file():
        return read_settings(resumed / CONFIG_FILE)
    return {"preset": preset or DEFAULT_PRESET}


def _run_of(preset: str) -> Path:
    if preset not in PUBLISHED:
        raise ConfigError("--out says where the run goes")
    return Path("runs", preset)


def _set_of(preset: str, mirror: str | None) -> Path:
    """Where the published set of a preset is, downloaded if need be."""
    if preset not in PUBLISHED:
        own = ", ".join(name for name in PRESETS if name in PUBLISHED)
        raise ConfigError(f"--data says where the images are; only the presets {own} fetch their own")
    published, folder = PUBLISHED[preset], Path("data", preset)
    if not all((folder / file.name).is_file() for file in published.files):
        if "RANK" in os.environ:
            raise ConfigError(f"{folder}: not there yet; first: gantrain data download {preset} --out {folder}")
        fetch(published, folder, mirror=mirror)
    return folder


def _again() -> str:
    """The command line that goes on with this run."""
    words = list(sys.argv[1:])
    for index, word in enumerate(words):  # where it began is in the run by now
        if word == "--start-from":
            del words[index : index + 2]
            break
        if word.startswith("--start-from="):
            del words[index]
            break
    if "--resume" not in words:
        words.append("--resume")
    return shlex.join(["gantrain", *words])
