"""A canvas for line drawings: strokes, arrows and text, drawn twice as large and then halved, which smooths them."""

import itertools
import math
from collections.abc import Iterator, Sequence

from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Colour = tuple[int, int, int]

SCALE = 2
DASHES: dict[str, tuple[float, float]] = {"solid": (1.0, 0.0), "dashed": (9.0, 6.0), "dotted": (2.0, 4.0)}
"""Lengths in pixels of a stroke and of the gap after it."""


class Canvas:
    """A white picture of `width` x `height` pixels; places are in pixels of the finished picture, y pointing down."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * SCALE, height * SCALE), "white")
        self._draw = ImageDraw.Draw(self._image)

    def curve(self, points: Sequence[Point], colour: Colour, *, width: float = 2.0, style: str = "solid") -> None:
        """A line through `points`; `style` is solid, dashed or dotted."""
        stroke, gap = DASHES[style]
        pieces = _dashes(points, stroke, gap) if gap else iter([list(points)])
        for piece in pieces:
            places = [(x * SCALE, y * SCALE) for x, y in piece]
            self._draw.line(places, fill=colour, width=round(width * SCALE), joint="curve")

    def arrow(self, start: Point, end: Point, colour: Colour, *, width: float = 1.0, head: float = 5.0) -> None:
        """A line with a filled head of `head` pixels at `end`."""
        angle = math.atan2(end[1] - start[1], end[0] - start[0])
        wings = [
            (end[0] - head * math.cos(angle + turn), end[1] - head * math.sin(angle + turn)) for turn in (0.4, -0.4)
        ]
        neck = (end[0] - 0.8 * head * math.cos(angle), end[1] - 0.8 * head * math.sin(angle))
        self.curve([start, neck], colour, width=width)
        self._draw.polygon([(x * SCALE, y * SCALE) for x, y in (end, *wings)], fill=colour)

    def text(self, place: Point, words: str, colour: Colour, *, size: int = 13, anchor: str = "la") -> None:
        """`words` at `place`; the anchor is Pillow's, such as "mm" for the middle."""
        font = ImageFont.load_default(size * SCALE)
        self._draw.text((place[0] * SCALE, place[1] * SCALE), words, fill=colour, font=font, anchor=anchor)

    def finished(self) -> Image.Image:
        """The picture, RGB."""
        return self._image.reduce(SCALE)


def _dashes(points: Sequence[Point], stroke: float, gap: float) -> Iterator[list[Point]]:
    """The parts of the line through `points` that are drawn, by the length gone along it."""
    gone, piece = 0.0, [points[0]]
    for start, end in itertools.pairwise(points):
        length, walked = math.dist(start, end), 0.0
        while walked < length:
            drawing = gone < stroke
            step = min((stroke if drawing else stroke + gap) - gone, length - walked)
            walked, gone = walked + step, gone + step
            share = walked / length
            place = (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
            piece = [*piece, place] if drawing else [place]
            if drawing and gone >= stroke:
                yield piece
            gone = 0.0 if gone >= stroke + gap else gone
    if gone < stroke and len(piece) > 1:
        yield piece
