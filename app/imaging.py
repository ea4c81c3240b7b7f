"""Pixels <-> PNG, JPEG, WebP and NPY: encoding, the grid, and decoding with hard limits."""

import io
import math
import platform
import struct
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app import png
from app.errors import InvalidImage, PayloadTooLarge, UnsupportedMediaType

Pixels = NDArray[np.uint8]
PictureFormat = Literal["png", "jpeg", "webp"]
ImageFormat = Literal["png", "jpeg", "webp", "npy"]

# Half the time of libwebp's default, 4, for files of about its size.
_WEBP_METHOD = 1
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def encode(
    pixels: Pixels,
    image_format: ImageFormat,
    *,
    quality: int,
    text: Mapping[str, str] | None = None,
    png_level: int = 1,
) -> bytes:
    """Encode uint8 [height, width, 1 or 3] pixels; the same pixels make the same bytes.

    `quality` is 1..100 for JPEG and WebP; `text` becomes text chunks of a PNG, whose `png_level` is 0..9 as
    `png.encode_png` has it.
    """
    match image_format:
        case "png":
            return png.encode_png(pixels, level=png_level, text=text or {})
        case "jpeg":
            return _encode_jpeg(pixels, quality)
        case "webp":
            out = io.BytesIO()
            picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            picture.save(out, "WEBP", quality=quality, method=_WEBP_METHOD)
            return out.getvalue()
        case "npy":
            return encode_npy(pixels)


@cache
def encoder_of(image_format: ImageFormat) -> str:
    """What writes a format here: with another name, the same pixels may make other bytes."""
    match image_format:
        case "png":
            # ISA-L has code of its own for each kind of processor.
            libraries = f"isal {version('isal')}, zlib {zlib.ZLIB_RUNTIME_VERSION}"
            return f"writer {png.REVISION}, {libraries}, {platform.machine()}"
        case "jpeg":
            return f"simplejpeg {version('simplejpeg')}"
        case "webp":
            return f"pillow {version('pillow')}, method {_WEBP_METHOD}"
        case "npy":
            return f"numpy {version('numpy')}"


def encode_npy(array: NDArray[np.generic]) -> bytes:
    """The array as a `.npy` file, version 1.0, never a pickle."""
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def _encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """Baseline, colours at half the resolution each way, as is usual at such qualities."""
    colours, sampling = ("GRAY", "Gray") if pixels.shape[2] == 1 else ("RGB", "420")
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, colours, sampling)
    return encoded


def grid(images: Sequence[Pixels]) -> Pixels:
    """Lay equal [height, width, channels] images out row by row, in ceil(sqrt(n)) columns without gaps.

    Cells left over are black. Raises ValueError for no images.
    """
    height, width, channels = images[0].shape
    columns = grid_columns(len(images))
    rows = math.ceil(len(images) / columns)
    sheet = np.zeros((rows * height, columns * width, channels), dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * height, index % columns * width
        sheet[top : top + height, left : left + width] = image
    return sheet


def grid_columns(count: int) -> int:
    """How many columns a grid of `count` images has."""
    if count < 1:
        raise ValueError("a grid needs at least one image")
    return math.isqrt(count - 1) + 1


def decode(data: bytes, *, max_pixels: int) -> tuple[Image.Image, list[str]]:
    """Open PNG, JPEG or WebP bytes upright, and list what was done to them.

    Of an animation the first frame is taken. The size is read and checked before any pixel is decoded.
    Raises UnsupportedMediaType for any other kind of data, PayloadTooLarge for more than `max_pixels`
    pixels, InvalidImage for a truncated or corrupt image and for one with a side under two pixels.
    """
    kind = _kind(data)
    try:
        if kind is WebPImageFile:
            # libwebp's decoder allocates the whole canvas on opening, so the header is read by hand.
            _check_size(*_webp_size(data), max_pixels)
        # The format's own class: no guessing among Pillow's other formats, and no global pixel limit.
        image = kind(io.BytesIO(data))
        _check_size(*image.size, max_pixels)
        image.load()
    except (InvalidImage, PayloadTooLarge):
        raise
    except Exception:
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error and more.
        raise InvalidImage("the image is truncated or corrupt") from None
    changes = []
    if getattr(image, "n_frames", 1) > 1:
        changes.append("took the first frame of an animation")
    turn = _UPRIGHT.get(_orientation(image))
    if turn is None:
        return image, changes
    return image.transpose(turn), [*changes, "applied EXIF orientation"]


def fit(image: Image.Image, *, height: int, width: int, channels: Literal[1, 3]) -> tuple[Pixels, list[str]]:
    """Turn a decoded image into uint8 [height, width, channels], and list what had to be changed.

    Transparency is laid over black; the aspect ratio is not kept, since every network input has one shape.
    """
    changes = []
    if image.mode.startswith("I"):
        image = _eight_bits(image)
        changes.append("reduced 16-bit values to 8 bits")
        colour = "L"
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < 255:
            changes.append("laid transparency over black")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
        colour = "RGB"
    else:
        colour = image.mode
    wanted = "L" if channels == 1 else "RGB"
    if colour != wanted:
        if not (wanted == "L" and colour in {"RGB", "P"} and _is_grey(image)):
            changes.append(f"converted {_COLOUR_NAMES.get(colour, colour)} to {_COLOUR_NAMES[wanted]}")
        image = image.convert(wanted)
    if image.size != (width, height):
        changes.append(f"resized {image.width}x{image.height} to {width}x{height}")
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels.reshape(height, width, channels), changes


_COLOUR_NAMES = {"1": "black and white", "L": "grey", "P": "palette", "RGB": "RGB", "CMYK": "CMYK"}


def _is_grey(image: Image.Image) -> bool:
    bands = np.asarray(image.convert("RGB"))
    return bool((bands[..., 0] == bands[..., 1]).all() and (bands[..., 1] == bands[..., 2]).all())


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _kind(data: bytes) -> type[PngImageFile] | type[JpegImageFile] | type[WebPImageFile]:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImageFile
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile
    raise UnsupportedMediaType("an image must be PNG, JPEG or WebP")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height as a WebP header states them (RFC 9649, sections 2.5 to 2.7)."""
    match data[12:16]:
        case b"VP8X":
            width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
        case _:
            raise InvalidImage("the image is truncated or corrupt")
    return width, height


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PayloadTooLarge(f"an image may have at most {max_pixels} pixels")
    if width < 2 or height < 2:
        raise InvalidImage("an image needs at least two pixels each way")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # a broken EXIF block says nothing about which way is up
        return 1
