import io

import numpy as np
import pytest
from PIL import Image

from tests.training.data.pictures import encoded, picture
from training.data import pictures
from training.data.pictures import Unreadable, decode_picture


def _corners(image: Image.Image) -> Image.Image:
    """Each quarter of a picture in a colour of its own: red, green, blue, white."""
    for index, colour in enumerate(["red", "lime", "blue", "white"]):
        side = image.width // 2
        left, top = index % 2 * side, index // 2 * side
        image.paste(colour, (left, top, left + side, top + side))
    return image


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def _quarters(data: bytes) -> list[tuple[int, ...]]:
    pixels = decode_picture(data, 16).pixels
    return [tuple(pixels[y, x].tolist()) for y in (3, 12) for x in (3, 12)]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_colours_and_places_are_kept(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    assert _quarters(encoded(_corners(Image.new("RGB", (32, 32))), kind, **options)) == [RED, GREEN, BLUE, WHITE]


def test_palette_colours_become_rgb() -> None:
    image = _corners(Image.new("RGB", (32, 32))).convert("P", palette=Image.Palette.ADAPTIVE)
    assert image.mode == "P"
    assert _quarters(encoded(image)) == [RED, GREEN, BLUE, WHITE]


def test_cmyk_becomes_rgb() -> None:
    found = _quarters(encoded(_corners(Image.new("RGB", (32, 32))).convert("CMYK"), "JPEG", quality=100))
    for mine, meant in zip(found, [RED, GREEN, BLUE, WHITE], strict=True):
        assert np.abs(np.subtract(mine, meant)).max() <= 4


def test_transparency_is_laid_over_white() -> None:
    image = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 16, 32))
    assert _quarters(encoded(image)) == [BLUE, WHITE, BLUE, WHITE]


def test_transparency_of_a_palette_is_laid_over_white() -> None:
    image = _corners(Image.new("RGB", (32, 32))).convert("P", palette=Image.Palette.ADAPTIVE)
    red = np.asarray(image)[1, 1].item()
    assert _quarters(encoded(image, transparency=red)) == [WHITE, GREEN, BLUE, WHITE]


def test_sixteen_bits_are_scaled_to_eight() -> None:
    levels = np.repeat(np.array([0, 257, 32896, 65535], dtype=np.uint16), 8).reshape(1, 32).repeat(32, axis=0)
    found = decode_picture(encoded(Image.fromarray(levels)), 32)
    assert found.pixels[0, ::8, 0].tolist() == [0, 1, 128, 255]
    assert found.grey


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    first, second = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
    data = encoded(first, kind, save_all=True, append_images=[second], lossless=True)
    assert getattr(Image.open(io.BytesIO(data)), "n_frames", 1) == 2
    assert decode_picture(data, 16).pixels[8, 8].tolist() == [255, 0, 0]


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned to the right
    assert _quarters(encoded(_corners(Image.new("RGB", (32, 32))), exif=exif)) == [BLUE, RED, WHITE, GREEN]


def test_broken_exif_is_no_reason_to_refuse_a_picture() -> None:
    data = encoded(_corners(Image.new("RGB", (32, 32))), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff broken")
    assert _quarters(data) == [RED, GREEN, BLUE, WHITE]


def test_the_central_square_is_taken() -> None:
    image = Image.new("RGB", (48, 16), "black")
    image.paste("white", (16, 0, 32, 16))
    assert decode_picture(encoded(image), 16).pixels.min() == 255


def test_grey_is_told_from_colour() -> None:
    assert decode_picture(encoded(picture(1, colour=False)), 16).grey
    assert not decode_picture(encoded(picture(1)), 16).grey


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a PNG, JPEG, WebP or BMP image"),
        (b"GIF89a" + bytes(50), "not a PNG, JPEG, WebP or BMP image"),
        (encoded(picture(1))[:300], "truncated or corrupt"),
        (encoded(picture(1), "JPEG")[:400], "truncated or corrupt"),
        (encoded(picture(1), "WEBP")[:100], "truncated or corrupt"),
    ],
    ids=["empty", "gif", "png", "jpeg", "webp"],
)
def test_what_cannot_be_decoded_is_unreadable(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        decode_picture(data, 16)


@pytest.mark.parametrize("size", [(8001, 8000), (10_000, 10_000), (20_000, 20_000)])
def test_pixels_are_counted_before_they_are_decoded(size: tuple[int, int]) -> None:
    header = encoded(Image.new("1", (8, 8)), "BMP")
    claimed = header[:18] + b"".join(side.to_bytes(4, "little") for side in size) + header[26:]
    with pytest.raises(Unreadable, match=f"more than {pictures.MAX_PIXELS:,}"):
        decode_picture(claimed, 16)
