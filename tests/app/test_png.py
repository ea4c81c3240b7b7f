import hashlib
import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from app.png import REVISION, TEXT_LIMIT_CHARS, encode_png

LEVELS = [0, 1, 2, 3, 4, 6, 9]
UNFILTERED, FILTERED = (16, 16), (40, 48)
# Heights and widths on both sides of where filtering begins.

sides = st.integers(1, 60)
any_pixels = st.tuples(sides, sides, st.sampled_from([1, 3])).flatmap(lambda shape: arrays.arrays(np.uint8, shape))
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


def random_pixels(size: tuple[int, int], channels: int = 3) -> NDArray[np.uint8]:
    return np.random.RandomState(5).randint(0, 256, (*size, channels), dtype=np.uint8)


def slopes(size: tuple[int, int], channels: int = 3) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.stack([(rows * 3 + columns * (2 + c)) % 256 for c in range(channels)], axis=2).astype(np.uint8)


def decoded(data: bytes) -> PngImageFile:
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, PngImageFile)
    image.load()
    return image


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kinds and data of a file's chunks, each CRC checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = [], 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(kind + body),)
        found.append((kind, body))
        at += 12 + length
    return found


def lines_of(data: bytes) -> bytes:
    return zlib.decompress(b"".join(body for kind, body in chunks_of(data) if kind == b"IDAT"))


@given(any_pixels, st.sampled_from(LEVELS))
def test_every_pixel_comes_back(pixels: NDArray[np.uint8], level: int) -> None:
    image = decoded(encode_png(pixels, level=level, text={}))
    assert image.mode == ("L" if pixels.shape[2] == 1 else "RGB")
    np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


@pytest.mark.parametrize("size", [(1, 2000), (2000, 1), (3, 90_000), (700, 400)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_far_from_square_and_larger_than_one_piece_come_back(size: tuple[int, int], channels: int) -> None:
    for pixels in (random_pixels(size, channels), slopes(size, channels)):
        image = decoded(encode_png(pixels, level=1, text={}))
        np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_pixels_need_not_lie_together_in_memory() -> None:
    pixels = random_pixels(FILTERED)[::2, ::-1]
    np.testing.assert_array_equal(np.asarray(decoded(encode_png(pixels, level=1, text={}))), pixels)


@given(st.dictionaries(st.from_regex(r"[A-Za-z_]{1,20}", fullmatch=True), texts, max_size=6))
def test_every_text_comes_back(text: dict[str, str]) -> None:
    assert decoded(encode_png(random_pixels((2, 2)), level=1, text=text)).text == text


def test_a_text_is_latin_1_where_it_can_be_and_utf_8_elsewhere() -> None:
    data = encode_png(random_pixels((2, 2)), level=1, text={"seed": "42", "model": "größe", "title": "数字"})
    assert chunks_of(data)[1:4] == [
        (b"tEXt", b"seed\x0042"),
        (b"tEXt", b"model\0gr\xf6\xdfe"),
        (b"iTXt", b"title\0\0\0\0\0" + "数字".encode()),
    ]


def test_a_text_that_decoders_would_refuse_is_left_out() -> None:
    longest = "x" * TEXT_LIMIT_CHARS
    data = encode_png(random_pixels((2, 2)), level=1, text={"latent": longest, "more": longest + "x", "seed": "1"})
    assert decoded(data).text == {"latent": longest, "seed": "1"}


@pytest.mark.parametrize(("keyword", "value"), [("", "x"), ("k" * 80, "x"), ("k\0", "x"), ("k", "x\0y"), ("数", "x")])
def test_a_text_that_png_cannot_hold_is_refused(keyword: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"keyword|latin-1"):
        encode_png(random_pixels((2, 2)), level=1, text={keyword: value})


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (3, 2)])
def test_a_file_is_made_of_the_least_that_png_asks_for(channels: int, colour_type: int) -> None:
    data = encode_png(random_pixels((5, 9), channels), level=1, text={})
    header = struct.pack(">IIBBBBB", 9, 5, 8, colour_type, 0, 0, 0)
    kinds = [kind for kind, _ in chunks_of(data)]
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    assert chunks_of(data)[0] == (b"IHDR", header)


@pytest.mark.parametrize("size", [UNFILTERED, FILTERED])
@pytest.mark.parametrize("level", LEVELS)
def test_the_same_pixels_and_text_make_the_same_file(size: tuple[int, int], level: int) -> None:
    files = {encode_png(slopes(size), level=level, text={"seed": "1", "latent": "y" * 500}) for _ in range(3)}
    assert len(files) == 1


def test_only_what_is_worth_it_is_filtered() -> None:
    filters = {
        (size, level): set(lines_of(encode_png(slopes(size), level=level, text={}))[:: 1 + size[1] * 3])
        for size, level in itertools.product((UNFILTERED, FILTERED), (0, 1, 6))
    }
    assert {found for found in filters if filters[found] == {3}} == {(FILTERED, 1), (FILTERED, 6)}
    assert {found for found in filters if filters[found] == {0}} == filters.keys() - {(FILTERED, 1), (FILTERED, 6)}


def test_a_higher_level_makes_a_smaller_file() -> None:
    pixels = slopes((256, 256)) // 2 + random_pixels((256, 256)) // 64
    sizes = [len(encode_png(pixels, level=level, text={})) for level in (0, 1, 9)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > pixels.size


def test_another_layout_of_the_file_needs_another_revision() -> None:
    # What deflate makes of it is in the versions of the libraries; this is what the writer itself decides.
    digest = hashlib.sha256()
    for size, channels, level in itertools.product((UNFILTERED, FILTERED), (1, 3), LEVELS):
        data = encode_png(slopes(size, channels), level=level, text={"seed": "1", "title": "数字"})
        digest.update(b"".join(kind + body for kind, body in chunks_of(data) if kind != b"IDAT") + lines_of(data))
    assert (REVISION, digest.hexdigest()[:16]) == (1, "8fb4004164b092dd")
