import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from app.animation import AnimationFormat, encode_animation, enlarge

FORMATS: list[AnimationFormat] = ["webp", "gif", "apng"]
CHANCE = np.random.default_rng(0)


def frames(channels: int, count: int = 5) -> list[NDArray[np.uint8]]:
    return [CHANCE.integers(0, 256, (12, 10, channels), dtype=np.uint8) for _ in range(count)]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def read(data: bytes, mode: str) -> list[NDArray[np.uint8]]:
    return [np.asarray(frame.convert(mode)) for frame in ImageSequence.Iterator(opened(data))]


@pytest.mark.parametrize("animation_format", FORMATS)
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_come_back_in_order(animation_format: AnimationFormat, channels: int) -> None:
    made = frames(channels)
    data = encode_animation(made, animation_format, fps=25, loop=True, quality=100)
    found = read(data, "RGB" if channels == 3 else "L")
    assert len(found) == 5
    apart = [np.abs(a.reshape(b.shape).astype(int) - b).max() for a, b in zip(found, made, strict=True)]
    # GIF has 256 colours for the 120 pixels of a frame, and WebP keeps grey as three equal colours.
    assert max(apart) <= (0 if animation_format != "gif" or channels == 1 else 8)


@pytest.mark.parametrize("animation_format", FORMATS)
@pytest.mark.parametrize("loop", [True, False])
def test_a_file_says_how_fast_and_how_often_it_plays(animation_format: AnimationFormat, *, loop: bool) -> None:
    image = opened(encode_animation(frames(3), animation_format, fps=20, loop=loop))
    image.seek(1)
    image.load()
    assert image.info["duration"] == 50
    # Without an entry a GIF plays once.
    assert image.info.get("loop", 1) == (0 if loop else 1)


def test_quality_makes_webp_smaller() -> None:
    made = enlarge(frames(3), 8)
    sizes = [len(encode_animation(made, "webp", fps=25, loop=True, quality=quality)) for quality in (10, 90)]
    assert sizes[0] < sizes[1]


def test_an_apng_says_what_it_was_made_of() -> None:
    data = encode_animation(frames(1), "apng", fps=25, loop=True, text={"model": "mnist@1", "seeds": "1,2"})
    info = opened(data).info
    assert (info["model"], info["seeds"]) == ("mnist@1", "1,2")


@pytest.mark.parametrize("animation_format", FORMATS)
def test_the_same_frames_make_the_same_bytes(animation_format: AnimationFormat) -> None:
    made = frames(3)
    assert encode_animation(made, animation_format, fps=25, loop=True) == encode_animation(
        made, animation_format, fps=25, loop=True
    )


def test_a_single_frame_is_a_picture_and_none_is_a_mistake() -> None:
    made = frames(3, count=1)
    assert len(read(encode_animation(made, "gif", fps=25, loop=False), "RGB")) == 1
    with pytest.raises(ValueError, match="at least one frame"):
        encode_animation([], "webp", fps=25, loop=False)


def test_every_pixel_becomes_a_square() -> None:
    made = frames(3)
    large = enlarge(made, 3)
    assert large[0].shape == (36, 30, 3)
    for top, left in ((0, 0), (1, 2), (2, 1)):
        assert np.array_equal(large[4][top::3, left::3], made[4])
