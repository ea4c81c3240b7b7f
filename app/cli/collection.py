"""Generated images on disk: a folder that a stopped command can go on with, and the zip or npz made of it."""

import io
import json
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.errors import RequestError

MANIFEST, DONE = "manifest.json", "images.jsonl"


@dataclass(frozen=True)
class Plan:
    """What is to be made: a seed and perhaps a class for each image, and all that decides what they look like."""

    model: str
    digest: str
    settings: dict[str, Any]
    classes: tuple[str, ...] | None
    seeds: tuple[int, ...]
    class_ids: tuple[int, ...] | None


@dataclass(frozen=True)
class Entry:
    """An image that is there: its place in the plan, its file, and what it was really made from."""

    index: int
    file: str
    seed: int
    class_id: int | None
    realness: float | None
    accepted: bool


class Collection:
    """A folder of images with `manifest.json`, the plan, and `images.jsonl`, a line for each image that is there."""

    def __init__(self, folder: Path, plan: Plan, *, fresh_seeds: bool) -> None:
        """Begin in `folder`, or go on with what an equal command left there.

        With `fresh_seeds` the seeds of the plan do not count: those that the first command drew stay. Raises
        RequestError for a folder whose manifest is of something else.
        """
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / MANIFEST
        if path.is_file():
            plan = _resumed(path, plan, fresh_seeds=fresh_seeds)
        else:
            _write(path, json.dumps(asdict(plan), indent=1).encode() + b"\n")
        self.plan = plan
        self.entries = {entry.index: entry for entry in _entries(folder / DONE)}

    @property
    def missing(self) -> list[int]:
        """Places in the plan whose image is not there yet."""
        return [index for index in range(len(self.plan.seeds)) if index not in self.entries]

    def add(self, made: Sequence[tuple[Entry, bytes]]) -> None:
        """Write images, and then that they are there."""
        for entry, data in made:
            path = self._folder / entry.file
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, data)
            self.entries[entry.index] = entry
        with (self._folder / DONE).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(entry)) + "\n" for entry, _ in made)

    def pack_zip(self, target: Path) -> None:
        """All files in one zip, `target`, and the folder gone."""
        part = target.with_name(target.name + ".tmp")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for entry in self._in_order():
                archive.write(self._folder / entry.file, entry.file)
            for name in (MANIFEST, DONE):
                archive.write(self._folder / name, name)
        self._replace(part, target)

    def pack_npz(self, target: Path) -> None:
        """`images` uint8 [n, h, w, c], `seeds` int64 [n] and, where there are classes, `labels` int64 [n] and
        `classes` in `target`, and the folder gone; its files are .npy.
        """
        entries = self._in_order()
        arrays: dict[str, Any] = {
            "images": np.stack([np.load(self._folder / entry.file, allow_pickle=False) for entry in entries]),
            "seeds": np.array([entry.seed for entry in entries], dtype=np.int64),
        }
        if self.plan.classes is not None:
            arrays["labels"] = np.array([entry.class_id for entry in entries], dtype=np.int64)
            arrays["classes"] = np.array(self.plan.classes)
        out = io.BytesIO()
        np.savez_compressed(out, allow_pickle=False, **arrays)
        part = target.with_name(target.name + ".tmp")
        _write(part, out.getvalue())
        self._replace(part, target)

    def _in_order(self) -> list[Entry]:
        return [self.entries[index] for index in sorted(self.entries)]

    def _replace(self, part: Path, target: Path) -> None:
        part.replace(target)
        shutil.rmtree(self._folder)


def _resumed(path: Path, plan: Plan, *, fresh_seeds: bool) -> Plan:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        before = Plan(
            model=found["model"],
            digest=found["digest"],
            settings=found["settings"],
            classes=None if found["classes"] is None else tuple(found["classes"]),
            seeds=tuple(found["seeds"]),
            class_ids=None if found["class_ids"] is None else tuple(found["class_ids"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise RequestError(f"{path}: not a manifest of generated images") from None
    differing = [
        key for key in ("model", "digest", "settings", "class_ids") if getattr(before, key) != getattr(plan, key)
    ]
    if len(before.seeds) != len(plan.seeds) or (not fresh_seeds and before.seeds != plan.seeds):
        differing.append("seeds")
    if differing:
        raise RequestError(f"{path.parent} holds images of another command: {', '.join(differing)} differ")
    return before


def _entries(path: Path) -> list[Entry]:
    """The lines that are whole; a crash may have left half of the last one, which is taken away."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        _write(path, whole.encode())
    return [Entry(**json.loads(line)) for line in whole.splitlines()]


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".tmp")
    part.write_bytes(data)
    part.replace(path)
