"""The textbook's picture of the game in one dimension: p_data dotted, p_g solid, D dashed, and where z goes."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from training.drawing import Canvas, Colour, Point
from training.equilibrium import Moment

WIDTH, HEIGHT = 280, 264
"""Of a panel, in pixels."""
BLACK, GREEN, BLUE, GREY, PALE = (30, 30, 30), (0, 130, 70), (40, 80, 200), (120, 120, 120), (215, 215, 215)
MARGIN = 22
CURVES = (52, 182)
"""Top and bottom of the curves; below are the lines of x and z."""
Z_LINE = 240
HEADER = 40
FRAME_MS, LAST_FRAME_MS = 140, 2500


def figure(rows: Sequence[Sequence[Moment]], names: Sequence[str]) -> Image.Image:
    """A grid of moments with a legend above: a row per game, called by its name, a column per moment."""
    columns = max(len(row) for row in rows)
    canvas = Canvas(columns * WIDTH, HEADER + len(rows) * HEIGHT)
    _legend(canvas, columns * WIDTH / 2)
    for row, (moments, name) in enumerate(zip(rows, names, strict=True)):
        peak = 1.3 * max(float(moment.p_data.max()) for moment in moments)
        for column, moment in enumerate(moments):
            _panel(canvas, column * WIDTH, HEADER + row * HEIGHT, moment, name, peak)
    return canvas.finished()


def save_figure(image: Image.Image, path: Path) -> None:
    """Write `image` as a PNG of 64 colours, which line drawings need no more of."""
    image.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


def save_animation(games: Sequence[Sequence[Moment]], names: Sequence[str], path: Path) -> None:
    """Write an animated WebP: a frame per moment, all games side by side, as many moments as the shortest has."""
    frames = [_side_by_side(moments, names) for moments in zip(*games, strict=False)]
    times = [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=times, loop=0, quality=70)


def _side_by_side(moments: Sequence[Moment], names: Sequence[str]) -> Image.Image:
    canvas = Canvas(len(moments) * WIDTH, HEADER + HEIGHT)
    _legend(canvas, len(moments) * WIDTH / 2)
    for column, (moment, name) in enumerate(zip(moments, names, strict=True)):
        _panel(canvas, column * WIDTH, HEADER, moment, name, 1.3 * float(moment.p_data.max()))
    return canvas.finished()


def _legend(canvas: Canvas, centre: float) -> None:
    entries: tuple[tuple[str, Colour, str], ...] = (
        ("p_data", BLACK, "dotted"),
        ("p_g", GREEN, "solid"),
        ("D(x), right scale", BLUE, "dashed"),
    )
    for place, (name, colour, style) in zip((-220, -90, 10), entries, strict=True):
        left = centre + place
        canvas.curve([(left, 20), (left + 40, 20)], colour, style=style)
        canvas.text((left + 48, 20), name, BLACK, anchor="lm")


def _panel(canvas: Canvas, left: float, top: float, moment: Moment, name: str, peak: float) -> None:  # noqa: PLR0917 -- where, what and how high
    first, last = left + MARGIN, left + WIDTH - MARGIN
    high, low = top + CURVES[0], top + CURVES[1]
    x_line, z_line = low, top + Z_LINE
    smallest, largest = float(moment.x[0]), float(moment.x[-1])

    def across(x: float) -> float:
        return first + (last - first) * min(max((x - smallest) / (largest - smallest), 0.0), 1.0)

    def plot(values: Tensor, unit: float, colour: Colour, *, width: float = 2.0, style: str = "solid") -> None:
        piece: list[Point] = []
        edge: list[Point] = []
        for x, y in zip(moment.x.tolist(), values.tolist(), strict=True):
            place = (across(x), low - (low - high) * min(y / unit, 1.0))
            if y <= unit:
                piece, edge = [*(piece or edge), place], []
                continue
            if piece:  # it leaves the panel, and may come back further on
                canvas.curve([*piece, place], colour, width=width, style=style)
            piece, edge = [], [place]
        if piece:
            canvas.curve(piece, colour, width=width, style=style)

    canvas.text((left + WIDTH / 2, top + 6), f"{name}, step {moment.step}", BLACK, size=14, anchor="ma")
    figures = f"W1 {moment.wasserstein:.2f}    mean D(G(z)) {moment.d_fake:.2f}"
    canvas.text((left + WIDTH / 2, top + 25), figures, GREY, size=12, anchor="ma")
    for share, label in ((0.0, "0"), (0.5, "0.5"), (1.0, "1")):
        height = low - share * (low - high)
        canvas.curve([(first, height), (last, height)], PALE, width=1)
        canvas.text((last + 3, height), label, BLUE, size=10, anchor="lm")
    plot(moment.d, 1.0, BLUE, style="dashed")
    plot(moment.p_generated, peak, GREEN)
    plot(moment.p_data, peak, BLACK, style="dotted", width=2.5)
    for height, label in ((x_line, "x"), (z_line, "z")):
        canvas.curve([(first, height), (last, height)], BLACK, width=1)
        canvas.text((first - 5, height), label, BLACK, anchor="rm")
    for z, x in zip(moment.latents.tolist(), moment.mapped.tolist(), strict=True):
        canvas.arrow((first + (last - first) * z, z_line), (across(x), x_line + 2), GREY)
