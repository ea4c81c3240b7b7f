"""Checkpoints: a game's whole state in one safetensors file, so written that a crash never costs the last good one."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from training.errors import CheckpointError

BEST_FILE = "best.safetensors"
"""The state with the lowest FID of a run's quick measurements."""
_FACTS, _DIGEST, _QUALITY = "facts", "sha256", "quality"
_TOLD = frozenset({"git_commit", _QUALITY})
"""Facts about the run that are no state of the game."""


@dataclass(frozen=True)
class Quality:
    """A FID of the run after so many images, and the SHA-256 of the extractor, under which alone it compares."""

    fid: float
    images_seen: int
    extractor: str


@dataclass(frozen=True)
class State:
    """Tensors by dotted names, such as `generator.start.weight`, and facts: plain values that JSON can hold."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors below `name`, without it."""
        start = name + "."
        return {key.removeprefix(start): value for key, value in self.tensors.items() if key.startswith(start)}

    def sha256(self) -> str:
        """Equal for two states just when every bit of every tensor and every fact of the game is equal."""
        digest = hashlib.sha256()
        facts = {name: value for name, value in self.facts.items() if name not in _TOLD}
        digest.update(json.dumps(facts, sort_keys=True).encode())
        for name in sorted(self.tensors):
            value = self.tensors[name].detach().cpu().contiguous()
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def save(run: Path, state: State, *, images_seen: int, keep: int = 2) -> Path:
    """Write `state` as `run/checkpoint-<images>.safetensors`, with its SHA-256; all but the latest `keep` are deleted.

    Written beside its place, flushed to the disk, then renamed, so a reader sees all of it or nothing. Zero keeps all.
    """
    path = _write(run / f"checkpoint-{images_seen:012d}.safetensors", state)
    for old in checkpoints(run)[keep:] if keep else ():
        old.unlink()
    return path


def save_best(run: Path, state: State, quality: Quality) -> None:
    """Write `state`, which was measured at `quality`, as the run's best one, in the same manner."""
    _write(run / BEST_FILE, State(state.tensors, {**state.facts, _QUALITY: asdict(quality)}))


def quality_of_best(run: Path) -> Quality | None:
    """What the run's best state was measured at; None where there is none that can be read."""
    try:
        with safe_open(run / BEST_FILE, framework="pt") as opened:
            return Quality(**json.loads((opened.metadata() or {})[_FACTS])[_QUALITY])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, state: State) -> Path:
    unfinished = path.with_suffix(".unfinished")
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors.items()}
    about = {_FACTS: json.dumps(state.facts), _DIGEST: state.sha256()}
    with unfinished.open("wb") as file:
        file.write(safetensors.torch.save(tensors, metadata=about))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _flush_folder(path.parent)
    return path


def checkpoints(run: Path) -> list[Path]:
    """The run's checkpoints, the latest first; its best state is none of them."""
    return sorted(run.glob("checkpoint-*.safetensors"), reverse=True)


def begun(run: Path) -> bool:
    """Whether the folder, which need not be there, holds a run that can be gone on with."""
    return bool(_states(run))


def load(path: Path) -> State:
    """The state in a checkpoint file, or in the latest one of a run's folder that is whole, on the CPU.

    The run's best state is taken where there is no other, as before the first checkpoint.
    No code is run, as the format has room for tensors and text alone. Raises CheckpointError when there is none.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such run or checkpoint")
    files = _states(path) if path.is_dir() else [path]
    if not files:
        raise CheckpointError(f"{path}: no checkpoint is there")
    problems = []
    for file in files:
        try:
            return _read(file)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            problems.append(f"{file}: {str(error) or type(error).__name__}")
    raise CheckpointError(f"no checkpoint can be read: {'; '.join(problems)}")


def _states(run: Path) -> list[Path]:
    return [*checkpoints(run), *run.glob(BEST_FILE)]


def _read(file: Path) -> State:
    with safe_open(file, framework="pt") as opened:
        about = opened.metadata() or {}
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 -- not a dict
    state = State(tensors, json.loads(about[_FACTS]))
    if state.sha256() != about[_DIGEST]:
        raise ValueError("damaged: it is not what its SHA-256 says")
    return state


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
