"""`gantrain fit`: from settings and data to a run's folder."""

from pathlib import Path

import torch
from rich.console import Console

from training import checkpoint
from training.config import TrainingConfig
from training.data import Split
from training.errors import CheckpointError, ConfigError
from training.game import Game, new_game
from training.loop import play
from training.provenance import git_commit
from training.report import Reporter

CONFIG_FILE = "config.json"


def fit(
    config: TrainingConfig, split: Split, run: Path, *, resume: bool, console: Console, start_from: Path | None = None
) -> Game:
    """Train in folder `run`, which ends up with config.json, metrics.jsonl, tensorboard/, samples/ and checkpoints.

    With `resume`, go on from the run's latest readable checkpoint; without, an existing run is refused. `start_from`
    names another run (or one of its checkpoints) whose networks a new run begins with, under settings of its own.
    Raises ConfigError, CheckpointError, and Diverged, after which the last good checkpoint is still there.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    game = new_game(config, split.train)
    if resume:
        _take_up(game, run)
        console.print(f"resumed at {game.images_seen / 1000:.1f} kimg")
    elif checkpoint.checkpoints(run):
        raise ConfigError(f"{run}: a run is there already; go on with --resume, or name another folder")
    elif start_from is not None:
        _begin_with(game, start_from)
        console.print(f"began with the networks of {start_from}")
    run.mkdir(parents=True, exist_ok=True)
    (run / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    interval = round(config.sample_every_kimg * 1000)
    kept = game.images_seen
    with Reporter(run, total_kimg=config.kimg, console=console) as reporter:
        for report in play(game, split.train):
            reporter.report(report)
            if game.images_seen // interval > kept // interval or game.images_seen >= config.kimg * 1000:
                kept = game.images_seen
                reporter.samples(game)
                checkpoint.save(run, {**game.state(), "git_commit": git_commit()}, images_seen=game.images_seen)
    return game


def _take_up(game: Game, run: Path) -> None:
    state = checkpoint.load(run)
    saved = TrainingConfig.model_validate_json(state["config"])
    saved.require_same_game(game.config)
    if tuple(state["shape"]) != game.shape or state["classes"] != (list(game.classes) if game.classes else None):
        raise CheckpointError(f"{run}: its checkpoint is of other images or classes than this data set")
    game.restore(state)


def _begin_with(game: Game, other: Path) -> None:
    """Take over the weights alone: optimizers, chance and the count of images begin anew."""
    state = checkpoint.load(other)
    try:
        game.generator.load_state_dict(state["generator"])
        game.discriminator.load_state_dict(state["discriminator"])
        game.ema.network.load_state_dict(state["ema"])
        game.images_before = state["images_seen"] + state.get("images_before", 0)
    except (KeyError, RuntimeError):
        raise ConfigError(f"{other}: its networks are of other sizes than these settings make") from None
