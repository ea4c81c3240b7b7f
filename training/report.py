"""What a run tells: a progress bar, metrics.jsonl, TensorBoard, and grids of samples."""

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text
from torch.utils.tensorboard import SummaryWriter

from bundle.latents import sample_latents
from bundle.manifest import LatentSpec
from training.game import Game
from training.loop import Report
from training.metrics.health import LINES, RECENT, glance
from training.networks import Generator

METRICS_FILE = "metrics.jsonl"
GLANCE = LINES * RECENT
"""Reports that the word at the end of a progress line is made of."""


class Reporter:
    """Tells the person at the terminal and the files in the run's folder how the game stands."""

    def __init__(self, run: Path, game: Game, *, console: Console) -> None:
        self._run, self._game = run, game
        self._history: deque[dict[str, float]] = deque(maxlen=GLANCE)
        self._console = console
        self._log = (run / METRICS_FILE).open("a", encoding="utf-8", buffering=1)
        began_at = game.images_seen
        self._tensorboard = SummaryWriter(str(run / "tensorboard"), purge_step=began_at + 1 if began_at else None)
        done = (BarColumn(bar_width=20), TextColumn("{task.completed:.0f}/{task.total:.0f} kimg"), TimeElapsedColumn())
        left = (TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*done, *left, console=console)
        self._task = self._progress.add_task("", total=game.config.kimg)
        self._figures = Text()
        self._live = Live(get_renderable=self._draw, console=console, transient=not console.is_terminal)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()
        self._log.close()
        self._tensorboard.close()

    def report(self, report: Report) -> None:
        """Show one report line and append it to metrics.jsonl and TensorBoard."""
        kimg = report.images_seen / 1000
        figures = (
            f"D(x) {report.d_real:.3f}  D(G(z)) {report.d_fake:.3f}  "
            f"D loss {report.d_loss:.3f}  G loss {report.g_loss:+.3f}"
        )
        speed = f"{report.images_per_s:.0f} img/s"
        self._history.append(asdict(report))
        word = glance(list(self._history), loss=self._game.config.loss)
        self._progress.update(self._task, description=speed)
        self._figures.plain = f"{figures}  {word}"
        if not self._console.is_terminal:
            self._console.print(f"{kimg:8.1f} kimg  {figures}  {speed}  {word}", highlight=False, soft_wrap=True)
        self._log.write(json.dumps({**asdict(report), "time": round(time.time(), 3)}) + "\n")
        for name, value in asdict(report).items():
            if name != "images_seen":
                self._tensorboard.add_scalar(name, value, report.images_seen)

    def quality(self, figures: Mapping[str, float], *, images_seen: int, best: bool) -> None:
        """Show a quick measurement, and whether it is the run's best, and add it to TensorBoard."""
        told = "  ".join(f"{name} {value:.4g}" for name, value in figures.items()) + ("  best so far" if best else "")
        self._console.print(f"{images_seen / 1000:8.1f} kimg  {told}", highlight=False, soft_wrap=True)
        for name, value in figures.items():
            self._tensorboard.add_scalar(f"quality/{name}", value, images_seen)

    def samples(self) -> Path:
        """Draw the grid of the smoothed generator for the same seeds every time; returns the PNG's path."""
        game = self._game
        grid = sample_grid(partial(generate, game.ema.network, game.device), game.latent, game.classes)
        path = self._run / "samples" / f"{game.images_seen:012d}.png"
        path.parent.mkdir(exist_ok=True)
        save_png(grid, path)
        self._tensorboard.add_image("samples", grid, game.images_seen, dataformats="HWC")
        return path

    def _draw(self) -> Group:
        """The bar, which moves with every step, above the figures of the last report.

        Two rows, since a terminal of 80 columns would cut one.
        """
        self._progress.update(self._task, completed=self._game.images_seen / 1000)
        return Group(self._progress, self._figures)


def forget_after(path: Path, images_seen: int) -> None:
    """Drop the lines of a .jsonl file about steps that are about to be played again, those after `images_seen`."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            if json.loads(line)["images_seen"] > images_seen:
                break
        except ValueError:  # cut off in the middle
            break
        kept.append(line)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text("".join(kept), encoding="utf-8")
    unfinished.replace(path)


def generate(
    generator: Generator, device: torch.device, z: NDArray[np.float32], class_ids: NDArray[np.int64] | None
) -> NDArray[np.uint8]:
    """The pixels that `generator` makes in eval mode, uint8 [n, height, width, channels], 250 rows at a time."""
    rows = []
    for start in range(0, len(z), 250):
        part = slice(start, start + 250)
        labels = None if class_ids is None else torch.from_numpy(class_ids[part]).to(device)
        with torch.inference_mode():
            rows.append(pixels(generator(torch.from_numpy(z[part]).to(device), labels)).cpu().numpy())
    return np.concatenate(rows)


def pixels(image: torch.Tensor) -> torch.Tensor:
    """Float NCHW in [-1, 1] -> uint8 NHWC: clip(x * 127.5 + 128, 0, 255), cut to whole grey levels."""
    return (image * 127.5 + 128).clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)


def sample_grid(
    images: Callable[[NDArray[np.float32], NDArray[np.int64] | None], NDArray[np.uint8]],
    latent: LatentSpec,
    classes: tuple[str, ...] | None,
    *,
    side: int = 10,
) -> NDArray[np.uint8]:
    """`side` columns of seeds; a row per class (at most `side`), or `side` rows of seeds without classes; uint8 HWC.

    `images(z, class_ids)` makes them: float32 [n, dim], int64 [n] or None -> uint8 [n, height, width, channels].
    """
    rows = min(len(classes), side) if classes else side
    seeds = list(range(side)) * rows if classes else list(range(side * side))
    class_ids = np.repeat(np.arange(rows, dtype=np.int64), side) if classes else None
    return tile(images(sample_latents(latent, seeds), class_ids), columns=side)


def tile(images: NDArray[np.uint8], *, columns: int) -> NDArray[np.uint8]:
    """uint8 [n, h, w, c] -> one picture uint8 [rows * h, columns * w, c], row by row; n is a multiple of columns."""
    count, height, width, channels = images.shape
    grid = images.reshape(count // columns, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(grid.reshape(count // columns * height, columns * width, channels))


def save_png(image: NDArray[np.uint8], path: Path) -> None:
    """Write uint8 HWC with 1 or 3 channels as a PNG."""
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(path, optimize=True)
