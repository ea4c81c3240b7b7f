"""One picture: from the bytes of a file to square RGB pixels, within hard limits."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
MAX_FILE_BYTES = 64 * 2**20
MAX_PIXELS = 64_000_000

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")


class Unreadable(Exception):  # noqa: N818 -- a finding about one image, which the reader of the data set counts
    """This image cannot be used, for the reason that the message gives."""


@dataclass(frozen=True)
class Picture:
    """Square pixels, uint8 [resolution, resolution, 3]; whether they are grey, and whether they were enlarged."""

    pixels: NDArray[np.uint8]
    grey: bool
    enlarged: bool


def decode_picture(data: bytes, resolution: int) -> Picture:
    """Decode PNG, JPEG, WebP or BMP, turn it upright, crop the central square and resize it to `resolution`.

    Of an animation the first frame is taken; transparency is laid over white; 16-bit grey is reduced to 8 bits; palette
    and CMYK colours become RGB. Raises Unreadable for anything else, and for more than MAX_PIXELS pixels, which are
    counted before they are decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of oddities, such as broken EXIF, that do not spoil the pixels
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Unreadable(f"{image.width}x{image.height} pixels are more than {MAX_PIXELS:,}")
                image.load()
                rgb = _flat(_upright(image))
        except Unreadable:
            raise
        except Image.DecompressionBombError:
            raise Unreadable(f"more than {MAX_PIXELS:,} pixels") from None
        except UnidentifiedImageError:
            raise Unreadable("not a PNG, JPEG, WebP or BMP image") from None
        except Exception:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error and more
            raise Unreadable("truncated or corrupt") from None
    square = ImageOps.fit(rgb, (resolution, resolution), Image.Resampling.LANCZOS)
    pixels = np.asarray(square, dtype=np.uint8)
    grey = bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())
    return Picture(pixels, grey, enlarged=min(rgb.size) < resolution)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block says nothing about which way is up
        return image


def _flat(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # Pillow would clip 16-bit values at 255 instead of scaling them
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")
