"""Checkpoints: the whole state of a game in one file, written so that a crash never costs the last good one."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from training.errors import CheckpointError

KEEP = 2
"""Older checkpoints are deleted; the one before the latest stays, in case the latest is damaged."""

State = dict[str, Any]


def save(run: Path, state: State, *, images_seen: int) -> Path:
    """Write `state` (tensors, numbers, strings, lists and dicts of them) as `run/checkpoint-<images>.pt`.

    Written beside its place, flushed to the disk, then renamed, so a reader sees all of it or nothing.
    """
    path = run / f"checkpoint-{images_seen:012d}.pt"
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _flush_folder(run)
    for old in checkpoints(run)[KEEP:]:
        old.unlink()
    return path


def checkpoints(run: Path) -> list[Path]:
    """The run's checkpoints, the latest first."""
    return sorted(run.glob("checkpoint-*.pt"), reverse=True)


def load(path: Path) -> State:
    """The state in a checkpoint file, or in the latest one of a run's folder that can be read, on the CPU.

    Only tensors and plain values are unpickled (`weights_only=True`), so a checkpoint cannot run code.
    Raises CheckpointError when there is none.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such run or checkpoint")
    files = checkpoints(path) if path.is_dir() else [path]
    if not files:
        raise CheckpointError(f"{path}: no checkpoint is there")
    problems = []
    for file in files:
        try:
            state: State = torch.load(file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
            problems.append(f"{file}: {type(error).__name__}")
        else:
            return state
    raise CheckpointError(f"no checkpoint can be read: {'; '.join(problems)}")


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
