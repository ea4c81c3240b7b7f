"""How near a generator comes to images that it never saw: `python -m benchmarks.inversion --help`.

Held-out images are inverted by the service's own code: by the encoder alone, and with the search behind it. Beside them
stands the nearest of many random latents under the true class, which is what one gets without an encoder. Errors are
mean squared differences of pixels in [0, 1].
"""

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from prometheus_client import CollectorRegistry

from app.engines.acceleration import Acceleration
from app.engines.onnx import open_engine
from app.inversion import Inverse, invert
from app.metrics import Metrics
from app.registry import LiveModel, ModelRegistry
from app.settings import Settings
from benchmarks import machine
from benchmarks.systems import ROOT
from bundle import sample_latents
from training.data import load
from training.players import OnnxPlayers

_AT_ONCE = 50
_SHOWN, _ENLARGED = 20, 2


@dataclass(frozen=True)
class Way:
    """A way to find a latent: the squared error of each image, and what an image cost."""

    name: str
    errors: NDArray[np.float64]
    generated: float
    seconds: float

    def row(self) -> str:
        """A row of the table."""
        low, middle, high = np.percentile(self.errors, [10, 50, 90])
        figures = f"{self.errors.mean():.4f} | {middle:.4f} | {low:.4f} | {high:.4f}"
        return f"| {self.name} | {figures} | {self.generated:,.0f} | {self.seconds * 1000:.1f} |"


def main() -> None:
    """Invert, measure, print the table, keep it and draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inversion", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "mnist" / "3")
    parser.add_argument("--data", type=Path, required=True, help="data set that the bundle was trained on")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--budget", type=int, nargs="*", default=[256], help="candidates of the search for each image")
    parser.add_argument("--random", type=int, default=10_000, help="latents of each class to choose the nearest from")
    parser.add_argument("--out", type=Path, default=None, help="Markdown file to write")
    parser.add_argument("--picture", type=Path, default=None, help="PNG to write: images, encoder's guesses, refined")
    chosen = parser.parse_args()
    about, held_out = machine.describe(), load(chosen.data).held_out
    images = held_out.images[: chosen.images]
    ways, found = _inverted(chosen.bundle, images, [0, *chosen.budget])
    notes = []
    if held_out.labels is not None and (players := OnnxPlayers(chosen.bundle, threads=1)).classes == held_out.classes:
        labels = held_out.labels[: len(images)]
        right = np.mean([one.class_id == label for one, label in zip(found[0], labels, strict=True)])
        notes.append(f"- the encoder finds the class of {right:.1%} of them; no class was stated")
        if chosen.random:
            ways.append(_random(players, images, labels, chosen.random))
    lines = ["| way | mean | median | 10th percentile | 90th percentile | generated per image | ms per image |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | ---: |", *(way.row() for way in ways)]
    command = f"python -m benchmarks.inversion --images {len(images)} --budget {' '.join(map(str, chosen.budget))}"
    head = ["# Inversion", "", f"- `{command} --random {chosen.random} --data DATA`"]
    head += [f"- machine: {about['cpu']}, {about['cores']} cores, load average before the run {about['load_before']}"]
    head += [f"- {len(images)} held-out images of {held_out.name}, one thread; squared error of pixels in [0, 1]"]
    text = "\n".join([*head, *notes, "", *lines]) + "\n"
    print(text)
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text, encoding="utf-8")
    if chosen.picture is not None:
        _draw(chosen.picture, [list(images), *([one.pixels for one in each] for each in (found[0], found[-1]))])


def _inverted(bundle: Path, images: NDArray[np.uint8], budgets: list[int]) -> tuple[list[Way], list[list[Inverse]]]:
    """Each budget's way and what it found, by the service's own code."""
    ways, found = [], []
    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings.from_environment({}, device="cpu", sessions=1, threads=1, models=Path(scratch))
        opened = partial(open_engine, acceleration=Acceleration.of(settings))
        registry = ModelRegistry(settings, opened, Metrics(CollectorRegistry()))
        try:
            model = registry.load(bundle)
            for budget in budgets:
                began = time.perf_counter()
                inverses = asyncio.run(_invert(model, images, budget))
                seconds = (time.perf_counter() - began) / len(images)
                name = f"encoder, then {budget} candidates" if budget else "encoder alone"
                generated = float(np.mean([1 + one.evaluations for one in inverses]))
                ways.append(Way(name, np.array([one.error for one in inverses]), generated, seconds))
                print(ways[-1].row(), flush=True)
                found.append(inverses)
        finally:
            registry.close()
    return ways, found


async def _invert(model: LiveModel, images: NDArray[np.uint8], budget: int) -> list[Inverse]:
    found = []
    for start in range(0, len(images), _AT_ONCE):
        part = images[start : start + _AT_ONCE]
        found += (await invert(model, part, class_ids=None, budget=budget, deadline=None)).inverses
    return found


def _random(players: OnnxPlayers, images: NDArray[np.uint8], labels: NDArray[np.int64], count: int) -> Way:
    """The nearest of the images of seeds 0 to `count` under each image's true class."""
    began, errors = time.perf_counter(), np.empty(len(images))
    z = sample_latents(players.latent, range(count))
    for label in np.unique(labels):
        made = players.images(z, np.full(count, label)).reshape(count, -1).astype(np.float32) / 255
        wanted = images[labels == label].reshape((labels == label).sum(), -1).astype(np.float32) / 255
        squares = (made**2).sum(axis=1)[None] - 2 * wanted @ made.T + (wanted**2).sum(axis=1)[:, None]
        errors[labels == label] = squares.min(axis=1) / wanted.shape[1]
    return Way(f"nearest of {count:,} random", errors, count, (time.perf_counter() - began) / len(images))


def _draw(path: Path, rows: list[list[NDArray[np.uint8]]]) -> None:
    """A row of pictures for each of `rows`, the first ones of it."""
    sheet = np.concatenate([np.concatenate(row[:_SHOWN], axis=1) for row in rows], axis=0)
    large = sheet.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(large[:, :, 0] if large.shape[2] == 1 else large).save(path, optimize=True)


if __name__ == "__main__":
    main()
