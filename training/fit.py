"""`gantrain fit`: from settings and data to a run's folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

import torch
from rich.console import Console

from training import checkpoint
from training.checkpoint import State
from training.config import CONFIG_FILE, TrainingConfig
from training.data import Split
from training.errors import CheckpointError, ConfigError, Diverged
from training.game import Game, new_game, pick_device
from training.interrupt import Interrupt
from training.loop import play
from training.metrics.features import AnyExtractor
from training.precision import emulates_bfloat16
from training.provenance import git_commit
from training.quality import QUALITY_FILE, QualityLog
from training.report import METRICS_FILE, Reporter, forget_after
from training.team import join

STOPPED_FILE = "stopped.json"
"""Why a run ended before its length; it is gone once the run goes on."""


@dataclass(frozen=True)
class Outcome:
    """A game at the end of a call of `fit`; `stopped` is the signal that ended it early."""

    game: Game
    stopped: Signals | None


def fit(
    config: TrainingConfig,
    split: Split,
    run: Path,
    *,
    resume: bool,
    console: Console,
    start_from: Path | None = None,
    extractor: AnyExtractor | None = None,
) -> Outcome:
    """Train in folder `run`, which ends up with config.json, metrics.jsonl, tensorboard/, samples/ and checkpoints.

    With `evaluate_every_kimg` it has quality.jsonl too, and the state with the lowest FID in it, best.safetensors.

    With `resume`, go on from the run's latest readable checkpoint; without, an existing run is refused. `start_from`
    names another run (or one of its checkpoints) whose networks a new run begins with, under settings of its own.
    `extractor` is asked for when `evaluate_every_kimg` is. On SIGINT or SIGTERM the step under way ends, the game is
    saved, and the outcome says so. Under `torchrun` each process plays with its share, and the first writes. Raises
    ConfigError, CheckpointError, and Diverged, after which the last good checkpoint is still there.
    """
    if config.evaluate_every_kimg and extractor is None:
        raise ConfigError("evaluate_every_kimg: no extractor is there for this data set; see gantrain fit-extractor")
    if config.threads:
        torch.set_num_threads(config.threads)
    team, device = join(pick_device(config.device), batch_size=config.batch_size // config.accumulate)
    try:
        game = new_game(config, split.train, team=team, device=device)
        _begin(game, run, resume=resume, start_from=start_from, console=console)
        team.wait()  # the others must have looked at the folder before the first writes to it
        with Interrupt() as interrupt:
            if team.leads:
                quality = QualityLog(run, split, extractor) if config.evaluate_every_kimg and extractor else None
                _lead(game, split, run, interrupt, console, quality)
            else:
                for _ in play(game, split.train, stop=lambda: interrupt.asked is not None):
                    pass
    finally:
        team.leave()
    return Outcome(game, interrupt.asked if game.images_seen < config.kimg * 1000 else None)


def _begin(game: Game, run: Path, *, resume: bool, start_from: Path | None, console: Console) -> None:
    if resume:
        _take_up(game, run)
        told = f"resumed at {game.images_seen / 1000:.1f} kimg"
    elif checkpoint.begun(run):
        raise ConfigError(f"{run}: a run is there already; go on with --resume, or name another folder")
    elif start_from is not None:
        _begin_with(game, start_from)
        told = f"began with the networks of {start_from}"
    else:
        return
    if game.team.leads:
        console.print(told)


def _lead(  # noqa: PLR0917 -- the one caller hands on what it was given
    game: Game, split: Split, run: Path, interrupt: Interrupt, console: Console, quality: QualityLog | None
) -> None:
    """Play, tell, measure and save."""
    config, commit = game.config, git_commit()
    if config.precision == "bfloat16" and emulates_bfloat16(game.device):
        console.print("bfloat16 is computed in software on this device, much slower than --precision float32 would be")
    run.mkdir(parents=True, exist_ok=True)
    (run / STOPPED_FILE).unlink(missing_ok=True)
    (run / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    for file in (METRICS_FILE, QUALITY_FILE):
        forget_after(run / file, game.images_seen)
    samples, measures = _Due(config.sample_every_kimg, game), _Due(config.evaluate_every_kimg, game)
    with Reporter(run, game, console=console) as reporter:
        try:
            for report in play(game, split.train, stop=lambda: interrupt.asked is not None):
                reporter.report(report)
                ended = game.images_seen >= config.kimg * 1000
                if quality is not None and measures.now(ended=ended):
                    figures = quality.measure(game)
                    best = quality.best(game, figures)
                    reporter.quality(figures, images_seen=game.images_seen, best=best is not None)
                    if best is not None:
                        checkpoint.save_best(run, _state(game, commit), best)
                if samples.now(ended=ended or interrupt.asked is not None):
                    reporter.samples()
                    checkpoint.save(run, _state(game, commit), images_seen=game.images_seen, keep=config.keep)
        except Diverged as error:
            _note_end(run, "diverged", game.images_seen, str(error))
            raise
    if interrupt.asked is not None and game.images_seen < config.kimg * 1000:
        _note_end(run, "interrupted", game.images_seen, interrupt.asked.name)


def _state(game: Game, commit: str | None) -> State:
    state = game.state()
    state.facts["git_commit"] = commit
    return state


class _Due:
    """Whether something that is done once in a while is due."""

    def __init__(self, every_kimg: float, game: Game) -> None:
        self._interval, self._game, self._last = round(every_kimg * 1000), game, game.images_seen

    def now(self, *, ended: bool) -> bool:
        seen = self._game.images_seen
        if not ended and seen // self._interval == self._last // self._interval:
            return False
        self._last = seen
        return True


def _note_end(run: Path, reason: str, images_seen: int, what: str) -> None:
    document = {"reason": reason, "images_seen": images_seen, "what": what}
    (run / STOPPED_FILE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _take_up(game: Game, run: Path) -> None:
    state = checkpoint.load(run)
    try:
        saved = TrainingConfig.model_validate(state.facts["config"])
        images = tuple(state.facts["shape"]), state.facts["classes"]
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{run}: its checkpoint is of another version of the trainer") from None
    saved.require_same_game(game.config)
    if images != (game.shape, list(game.classes) if game.classes else None):
        raise CheckpointError(f"{run}: its checkpoint is of other images or classes than this data set")
    game.restore(state)


def _begin_with(game: Game, other: Path) -> None:
    """Take over the weights alone: optimizers, chance and the count of images begin anew."""
    state = checkpoint.load(other)
    try:
        game.generator.load_state_dict(state.part("generator"))
        game.discriminator.load_state_dict(state.part("discriminator"))
        game.ema.network.load_state_dict(state.part("ema"))
        game.images_before = state.facts["images_seen"] + state.facts["images_before"]
    except (KeyError, RuntimeError):
        raise ConfigError(f"{other}: its networks are of other sizes than these settings make") from None
