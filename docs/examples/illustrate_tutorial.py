"""Draws the tutorial's figures from a run that was sampled and evaluated on its way: what G made, and how FID fell."""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from training.drawing import Canvas, Point
from training.equilibrium_figure import save_figure

INK, SOFT, PALE, GREEN, BLUE = (30, 30, 30), (120, 120, 120), (215, 215, 215), (0, 130, 70), (40, 80, 200)
CELL, SEEDS, CLASSES = 28, 3, 10
ENLARGED = 2
WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 54, 24, 40, 46


def main() -> None:
    """Draw both figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a class-conditional run on 28x28 images")
    parser.add_argument("--kimg", type=int, nargs="+", default=[10, 30, 60, 100], help="samples to show")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    given = parser.parse_args()
    for name, image in (("progress", progress(given.run, given.kimg)), ("curves", curves(given.run))):
        path = given.out / f"tutorial-{name}.png"
        save_figure(image, path)
        print(path, path.stat().st_size)  # noqa: T201 -- a script, and this is its answer


def progress(run: Path, kimg: Sequence[int]) -> Image.Image:
    """The first seeds of every class, a column per time."""
    side, gap, head = CELL * SEEDS * ENLARGED, 18, 28
    canvas = Canvas(len(kimg) * (side + gap) - gap, head)
    for column, length in enumerate(kimg):
        canvas.text((column * (side + gap) + side / 2, 16), f"{length} kimg", INK, size=14, anchor="mm")
    heading = canvas.finished()
    sheet = Image.new("RGB", (heading.width, head + CLASSES * CELL * ENLARGED), "white")
    sheet.paste(heading, (0, 0))
    for column, length in enumerate(kimg):
        with Image.open(_sample(run, length)) as grid:
            part = grid.convert("RGB").crop((0, 0, CELL * SEEDS, CELL * CLASSES))
        large = part.resize((side, CELL * CLASSES * ENLARGED), Image.Resampling.NEAREST)
        sheet.paste(large, (column * (side + gap), head))
    return sheet


def curves(run: Path) -> Image.Image:
    """FID on a logarithmic scale, and recall and coverage, against thousands of images seen."""
    rows = [json.loads(line) for line in (run / "quality.jsonl").read_text(encoding="utf-8").splitlines()]
    seen = [row["images_seen"] / 1000 for row in rows]
    canvas = Canvas(2 * WIDTH, HEIGHT)
    fid = [math.log10(row["fid"]) for row in rows]
    low, high = math.floor(min(fid)), math.ceil(max(fid))
    ticks = [(value, f"{10.0**value:g}") for value in range(low, high + 1)]
    _axes(canvas, 0, "FID, 2,000 images", end=seen[-1], limits=(low, high), ticks=ticks)
    canvas.curve(_places(0, seen, fid, (low, high)), BLUE)
    quarters = [(part / 4, f"{part / 4:g}") for part in range(5)]
    _axes(canvas, WIDTH, "", end=seen[-1], limits=(0, 1), ticks=quarters)
    for name, colour, x in (("recall", GREEN, LEFT), ("coverage", BLUE, LEFT + 70)):
        canvas.text((WIDTH + x, 20), name, colour, size=14, anchor="lm")
        canvas.curve(_places(WIDTH, seen, [row[name] for row in rows], (0, 1)), colour)
    return canvas.finished()


def _sample(run: Path, kimg: int) -> Path:
    """The grid that was drawn nearest to so many images."""
    return min((run / "samples").glob("*.png"), key=lambda path: abs(int(path.stem) - 1000 * kimg))


def _axes(
    canvas: Canvas,
    x: int,
    title: str,
    *,
    end: float,
    limits: tuple[float, float],
    ticks: Sequence[tuple[float, str]],
) -> None:
    canvas.text((x + LEFT, 20), title, INK, size=14, anchor="lm")
    for value, name in ticks:
        ((_, y), *_) = _places(x, [0.0, end], [value, value], limits)
        canvas.curve([(x + LEFT, y), (x + WIDTH - RIGHT, y)], PALE, width=1)
        canvas.text((x + LEFT - 8, y), name, SOFT, size=12, anchor="rm")
    for part in range(6):
        place = x + LEFT + part / 5 * (WIDTH - LEFT - RIGHT)
        canvas.text((place, HEIGHT - BOTTOM + 14), f"{end * part / 5:.0f}", SOFT, size=12, anchor="mm")
    canvas.text((x + WIDTH - RIGHT, HEIGHT - 8), "kimg", SOFT, size=12, anchor="rm")


def _places(x: int, seen: Sequence[float], values: Sequence[float], limits: tuple[float, float]) -> list[Point]:
    """Where figures lie in the panel that begins at `x`."""
    wide, tall, (low, high) = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM, limits
    end = seen[-1]
    return [
        (x + LEFT + at / end * wide, TOP + (high - value) / (high - low) * tall)
        for at, value in zip(seen, values, strict=True)
    ]


if __name__ == "__main__":
    main()
