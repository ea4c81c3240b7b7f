import itertools
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from training.cli import main
from training.drawing import Canvas
from training.equilibrium import GAUSSIAN, Moment
from training.equilibrium_figure import figure

BLUE = (0, 0, 255)


def _inked(canvas: Canvas, y: int) -> list[bool]:
    image = canvas.finished()
    return [image.getpixel((x, y)) != (255, 255, 255) for x in range(image.width)]


@pytest.mark.parametrize(("style", "share"), [("solid", 1.0), ("dashed", 0.6), ("dotted", 1 / 3)])
def test_a_style_is_the_share_of_a_line_that_is_drawn(style: str, share: float) -> None:
    canvas = Canvas(220, 20)
    canvas.curve([(10, 10), (70, 10), (210, 10)], BLUE, style=style)
    inked = _inked(canvas, 10)
    assert sum(inked) / 200 == pytest.approx(share, abs=0.2)
    strokes = sum(1 for inside, _ in itertools.groupby(inked) if inside)
    assert strokes == {"solid": 1, "dashed": 14, "dotted": 34}[style]


def test_an_arrow_has_its_head_where_it_ends_and_text_stands_where_it_is_put() -> None:
    canvas = Canvas(100, 40)
    canvas.arrow((10, 10), (90, 10), BLUE, head=8)
    image = canvas.finished()
    assert image.getpixel((83, 12)) != (255, 255, 255)
    assert image.getpixel((20, 12)) == (255, 255, 255)
    canvas.text((50, 30), "x", BLUE, anchor="mm")
    box = canvas.finished().crop((0, 20, 100, 40)).convert("L").point(lambda value: 255 - value).getbbox()
    assert box is not None
    assert 44 <= box[0] < box[2] <= 56


def test_curves_never_leave_their_panel() -> None:
    x = torch.linspace(-4, 4, 81)
    spike = torch.where(x.abs() < 0.5, 1e6, 0.0)
    latents = torch.linspace(0, 1, 3)
    moment = Moment(0, 1.0, 0.5, x, GAUSSIAN.density(x), spike, torch.full_like(x, 0.5), latents, 100 * latents)
    image = figure([[moment]], ["a spike"])
    greens = [
        (across, down)
        for across in range(image.width)
        for down in range(image.height)
        if image.getpixel((across, down)) == (0, 130, 70)
    ]
    drawn = [(across, down) for across, down in greens if down > 40]  # below the legend
    assert min(down for _, down in drawn) >= 90
    assert max(down for _, down in drawn) <= 226


def test_the_demo_draws_a_figure_and_an_animation_and_tells_the_distance(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "equilibrium"
    result = CliRunner().invoke(main, ["demo", "equilibrium", "--out", str(out), "--steps", "40", "--seed", "3"])
    assert result.exit_code == 0, result.output
    assert result.output.count("W1 ") == result.output.count("D(G(z)) ") == 50
    with Image.open(out / "equilibrium.png") as picture:
        assert picture.width > 1000
    assert (out / "equilibrium.png").stat().st_size < 100_000
    with Image.open(out / "equilibrium.webp") as animation:
        assert getattr(animation, "n_frames", 1) > 10  # equal ones are joined
