import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from app import imaging
from app.errors import InvalidImage, PayloadTooLarge, UnsupportedMediaType

MEGAPIXEL = 2**20


def picture(mode: str = "RGB", size: tuple[int, int] = (12, 8), **save: object) -> bytes:
    noise = np.random.RandomState(7).randint(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    options = {"format": "PNG"} | save
    Image.fromarray(noise).convert(mode).save(out, **options)  # type: ignore[arg-type]  # Pillow's own **params
    return out.getvalue()


def decode_and_fit(data: bytes, channels: int = 1) -> tuple[NDArray[np.uint8], list[str]]:
    image, changes = imaging.decode(data, max_pixels=MEGAPIXEL)
    pixels, more = imaging.fit(image, height=28, width=28, channels=1 if channels == 1 else 3)
    return pixels, changes + more


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image_format", ["png", "webp", "jpeg"])
def test_an_encoded_image_decodes_to_its_size_and_kind(image_format: imaging.PictureFormat, channels: int) -> None:
    pixels = np.random.RandomState(1).randint(0, 256, (9, 5, channels), dtype=np.uint8)
    image = Image.open(io.BytesIO(imaging.encode(pixels, image_format, quality=90)))
    assert image.size == (5, 9)
    assert image.format == image_format.upper()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_keeps_every_pixel_and_its_text(channels: int) -> None:
    pixels = np.random.RandomState(1).randint(0, 256, (9, 5, channels), dtype=np.uint8)
    data = imaging.encode(pixels, "png", quality=1, text={"seed": "42", "model": "mnist@1"})
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, PngImagePlugin.PngImageFile)
    assert image.text == {"seed": "42", "model": "mnist@1"}
    np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image_format", ["png", "webp", "jpeg", "npy"])
def test_the_same_pixels_make_the_same_bytes(image_format: imaging.ImageFormat, channels: int) -> None:
    pixels = np.random.RandomState(1).randint(0, 256, (40, 30, channels), dtype=np.uint8)
    files = {
        imaging.encode(part, image_format, quality=90) for part in (pixels, pixels.copy(), pixels[:, ::-1][:, ::-1])
    }
    assert len(files) == 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image_format", ["webp", "jpeg"])
def test_a_higher_quality_is_nearer_and_larger(image_format: imaging.PictureFormat, channels: int) -> None:
    rows, columns = np.mgrid[:64, :64]
    pixels = np.stack([128 + 100 * np.sin((rows + columns * (c + 1)) / 9) for c in range(channels)], 2).astype(np.uint8)
    sizes, errors = [], []
    for quality in (1, 50, 100):
        data = imaging.encode(pixels, image_format, quality=quality)
        found = np.asarray(Image.open(io.BytesIO(data)).convert("L" if channels == 1 else "RGB")).reshape(pixels.shape)
        sizes.append(len(data))
        errors.append(float(np.abs(found.astype(float) - pixels).mean()))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 3


@pytest.mark.parametrize("side", [1, 7, 16, 33])
def test_a_jpeg_may_have_any_size(side: int) -> None:
    for shape in ((side, 5, 3), (5, side, 3), (side, 5, 1), (5, side, 1)):
        data = imaging.encode(np.full(shape, 77, np.uint8), "jpeg", quality=90)
        image = np.asarray(Image.open(io.BytesIO(data)))
        assert image.shape[:2] == shape[:2]
        assert np.abs(image.astype(int) - 77).max() <= 2


def test_each_format_names_what_writes_it() -> None:
    formats: list[imaging.ImageFormat] = ["png", "jpeg", "webp", "npy"]
    names = [imaging.encoder_of(one) for one in formats]
    assert [name.split()[0] for name in names] == ["writer", "simplejpeg", "pillow", "numpy"]
    assert all(any(char.isdigit() for char in name) for name in names)


def test_npy_is_read_back_without_pickle() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6, 1)
    loaded = np.load(io.BytesIO(imaging.encode(pixels, "npy", quality=90)), allow_pickle=False)
    np.testing.assert_array_equal(loaded, pixels)


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (5, 2, 3), (9, 3, 3), (10, 3, 4)]
)
def test_a_grid_is_nearly_square_and_keeps_the_order(count: int, rows: int, columns: int) -> None:
    images = [np.full((2, 3, 1), index + 1, dtype=np.uint8) for index in range(count)]
    sheet = imaging.grid(images)
    assert sheet.shape == (rows * 2, columns * 3, 1)
    cells = [sheet[r * 2, c * 3, 0] for r in range(rows) for c in range(columns)]
    assert cells == [*range(1, count + 1), *[0] * (rows * columns - count)]


def test_a_grid_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        imaging.grid_columns(0)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"GIF89a" + bytes(100), b"%PDF-1.7", b"RIFF\x00\x00\x00\x00WAVE", b"BM" + bytes(90)]
)
def test_only_png_jpeg_and_webp_are_opened(data: bytes) -> None:
    with pytest.raises(UnsupportedMediaType):
        imaging.decode(data, max_pixels=MEGAPIXEL)


def bomb(kind: str, width: int, height: int) -> bytes:
    if kind == "png":
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    if kind == "webp":
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x00" * 4 + size
        return b"RIFF" + struct.pack("<I", len(body)) + body
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_decompression_bomb_is_refused_by_its_header(kind: str) -> None:
    # Fewer than 200 bytes that promise 4 gigapixels: decoding them first would be felt.
    with pytest.raises(PayloadTooLarge):
        imaging.decode(
            bomb(kind, 65000 if kind != "webp" else 16383, 65000 if kind != "webp" else 16383), max_pixels=MEGAPIXEL
        )


@pytest.mark.parametrize(
    "save",
    [{"lossless": True}, {"quality": 80}, {"lossless": True, "exif": b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00"}],
)
def test_the_size_in_every_webp_header_is_understood(save: dict[str, Any]) -> None:
    data = picture("RGB", (300, 200), **({"format": "WEBP"} | save))
    with pytest.raises(PayloadTooLarge):
        imaging.decode(data, max_pixels=300 * 200 - 1)
    assert imaging.decode(data, max_pixels=300 * 200)[0].size == (300, 200)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.9])
def test_a_truncated_image_is_invalid(kind: str, keep: float) -> None:
    data = picture(size=(64, 64), format=kind)
    with pytest.raises(InvalidImage):
        imaging.decode(data[: max(12, int(len(data) * keep))], max_pixels=MEGAPIXEL)


def test_an_image_with_a_flipped_byte_is_invalid() -> None:
    data = bytearray(picture(size=(64, 64)))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(InvalidImage):
        imaging.decode(bytes(data), max_pixels=MEGAPIXEL)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1)])
def test_an_image_one_pixel_wide_is_invalid(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidImage):
        imaging.decode(picture(size=size), max_pixels=MEGAPIXEL)


def test_compressed_text_that_unpacks_to_megabytes_is_refused() -> None:
    png = picture()
    bombs = chunk(b"zTXt", b"k\x00\x00" + zlib.compress(bytes(8 * 2**20)))
    with pytest.raises(InvalidImage):
        imaging.decode(png[:33] + bombs + png[33:], max_pixels=MEGAPIXEL)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = np.zeros((20, 10, 3), dtype=np.uint8)
    upright[:5, :5] = 255
    image = Image.fromarray(upright)
    stored = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    if stored is not None:
        image = image.transpose(Image.Transpose(stored))
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    image.save(out, "PNG", exif=exif)
    decoded, changes = imaging.decode(out.getvalue(), max_pixels=MEGAPIXEL)
    np.testing.assert_array_equal(np.asarray(decoded), upright)
    assert changes == ([] if orientation == 1 else ["applied EXIF orientation"])


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (28, 28), colour) for colour in ("white", "black", "red")]
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {}))
    pixels, changes = decode_and_fit(out.getvalue())
    assert (pixels == 255).all()
    assert changes[0] == "took the first frame of an animation"


def test_an_image_of_the_right_shape_is_left_alone() -> None:
    pixels = np.random.RandomState(3).randint(0, 256, (28, 28, 1), dtype=np.uint8)
    found, changes = decode_and_fit(imaging.encode(pixels, "png", quality=90))
    np.testing.assert_array_equal(found, pixels)
    assert changes == []


def test_grey_stored_as_rgb_is_read_as_grey_without_remark() -> None:
    pixels = np.random.RandomState(3).randint(0, 256, (28, 28, 1), dtype=np.uint8)
    found, changes = decode_and_fit(imaging.encode(np.repeat(pixels, 3, axis=2), "png", quality=90))
    np.testing.assert_array_equal(found, pixels)
    assert changes == []


def test_every_change_is_said() -> None:
    _, changes = decode_and_fit(picture(size=(100, 80)))
    assert changes == ["converted RGB to grey", "resized 100x80 to 28x28"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("1", "PNG"),
        ("L", "PNG"),
        ("LA", "PNG"),
        ("P", "PNG"),
        ("RGBA", "PNG"),
        ("I;16", "PNG"),
        ("CMYK", "JPEG"),
        ("RGBA", "WEBP"),
    ],
)
def test_every_colour_kind_becomes_what_the_network_takes(mode: str, kind: str, channels: int) -> None:
    pixels, _ = decode_and_fit(picture(mode, format=kind), channels)
    assert pixels.shape == (28, 28, channels)
    assert pixels.dtype == np.uint8


def test_sixteen_bit_values_are_scaled_not_clipped() -> None:
    values = np.linspace(0, 65535, 28 * 28).reshape(28, 28).astype(np.uint16)
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    pixels, changes = decode_and_fit(out.getvalue())
    assert np.abs(pixels[:, :, 0].astype(float) - values / 257).max() <= 0.5
    assert changes == ["reduced 16-bit values to 8 bits"]


def test_cmyk_white_is_white() -> None:
    out = io.BytesIO()
    Image.new("CMYK", (28, 28), (0, 0, 0, 0)).save(out, "JPEG")
    pixels, changes = decode_and_fit(out.getvalue(), channels=3)
    assert pixels.min() >= 250
    assert changes == ["converted CMYK to RGB"]


def test_transparency_lies_over_black() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (28, 28), (255, 255, 255, 0)).save(out, "PNG")
    pixels, changes = decode_and_fit(out.getvalue())
    assert pixels.max() == 0
    assert changes == ["laid transparency over black"]


def test_a_palette_with_a_transparent_colour_is_laid_over_black() -> None:
    image = Image.new("P", (28, 28), 1)
    image.putpalette([255, 255, 255, 0, 255, 0])
    out = io.BytesIO()
    image.save(out, "PNG", transparency=1)
    assert decode_and_fit(out.getvalue(), channels=3)[0].max() == 0
