"""Ways to write an image: the service's, Pillow's, and those of candidates, as far as they are installed."""

import io
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import simplejpeg
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app import imaging
from app.png import encode_png
from benchmarks.pictures import Pixels

Write = Callable[[Pixels], bytes]
TEXT = {"model": "mnist@1", "digest": "5b" * 32, "seed": "1000000007", "class_id": "1", "truncation": "1.0"}
"""What a PNG of the service says of itself, and what Pillow is given too; other writers cannot."""

_QUALITY = 90
_STRATEGIES = {"filtered": 1, "huffman only": 2, "run lengths": 3, "fixed": 4}


def png_writers(modules: Mapping[str, Any]) -> dict[str, Write]:
    """Whole PNGs. Names of `modules` are those that could be imported."""

    def service(level: int) -> Write:
        return lambda pixels: encode_png(pixels, level=level, text=TEXT)

    def pillow(**options: int) -> Write:
        def write(pixels: Pixels) -> bytes:
            chunks = PngInfo()
            for key, value in TEXT.items():
                chunks.add_text(key, value)
            return _pillow(pixels, "PNG", pnginfo=chunks, **options)

        return write

    found = {f"service, level {level}": service(level) for level in (0, 1, 3, 4, 6, 9)}
    found |= {f"Pillow, level {level}": pillow(compress_level=level) for level in (0, 1, 3, 4, 6)}
    found |= {
        f"Pillow, level 1, {name}": pillow(compress_level=1, compress_type=kind) for name, kind in _STRATEGIES.items()
    }
    if cv2 := modules.get("cv2"):
        found["OpenCV, level 1"] = lambda pixels: cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    if imagecodecs := modules.get("imagecodecs"):
        found["imagecodecs, libpng, level 1"] = lambda pixels: imagecodecs.png_encode(_flat(pixels), level=1)
        found["imagecodecs, libspng, level 1"] = lambda pixels: imagecodecs.spng_encode(_flat(pixels), level=1)
    if fpng := modules.get("fpng"):
        found["fpng (RGB only)"] = lambda pixels: fpng.from_bytes(
            (pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)).tobytes(),
            pixels.shape[1],
            pixels.shape[0],
            3,
        )
    return found


def lines_of(pixels: Pixels) -> bytes:
    """What the service gives to deflate: its own PNG's rows, each behind its filter."""
    data, at, packed = encode_png(pixels, level=1, text={}), 8, b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        packed += data[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    return zlib.decompress(packed)


def deflaters(modules: Mapping[str, Any]) -> dict[str, Callable[[bytes], bytes]]:
    """Deflate alone."""

    def filtered(level: int) -> Callable[[bytes], bytes]:
        def deflate(lines: bytes) -> bytes:
            compressor = zlib.compressobj(level, strategy=zlib.Z_FILTERED)
            return compressor.compress(lines) + compressor.flush()

        return deflate

    def at(compress: Callable[[bytes, int], bytes], level: int) -> Callable[[bytes], bytes]:
        return lambda lines: compress(lines, level)

    found = {f"ISA-L {level}": at(isal_zlib.compress, level) for level in (0, 1, 2, 3)}
    found |= {f"zlib {level}": at(zlib.compress, level) for level in (1, 2, 4, 6)}
    found |= {f"zlib {level}, filtered": filtered(level) for level in (4, 6)}
    if zlib_ng := modules.get("zlib_ng.zlib_ng"):
        found |= {f"zlib-ng {level}": at(zlib_ng.compress, level) for level in (1, 2, 4, 6)}
    if libdeflate := modules.get("deflate"):
        found |= {f"libdeflate {level}": at(libdeflate.zlib_compress, level) for level in (1, 4, 6)}
    return found


def jpeg_writers(modules: Mapping[str, Any]) -> dict[str, Write]:
    """JPEG at quality 90, colours at half the resolution each way."""

    def fast(pixels: Pixels) -> bytes:
        colours, sampling = ("GRAY", "Gray") if pixels.shape[2] == 1 else ("RGB", "420")
        encoded: bytes = simplejpeg.encode_jpeg(pixels, _QUALITY, colours, sampling, fastdct=True)
        return encoded

    found: dict[str, Write] = {
        "service (simplejpeg)": lambda pixels: imaging.encode(pixels, "jpeg", quality=_QUALITY),
        "simplejpeg, fast DCT": fast,
        "Pillow": lambda pixels: _pillow(pixels, "JPEG", quality=_QUALITY),
    }
    if cv2 := modules.get("cv2"):
        found["OpenCV"] = lambda pixels: cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[
            1
        ]
    if imagecodecs := modules.get("imagecodecs"):
        found["imagecodecs"] = lambda pixels: imagecodecs.jpeg8_encode(_flat(pixels), level=_QUALITY)
    if turbo := modules.get("turbojpeg"):
        jpeg = turbo.TurboJPEG()
        found["PyTurboJPEG"] = lambda pixels: jpeg.encode(
            pixels,
            _QUALITY,
            pixel_format=turbo.TJPF_RGB if pixels.shape[2] == 3 else turbo.TJPF_GRAY,
            jpeg_subsample=turbo.TJSAMP_420 if pixels.shape[2] == 3 else turbo.TJSAMP_GRAY,
        )
    return found


def webp_writers(modules: Mapping[str, Any]) -> dict[str, Write]:
    """WebP at quality 90, and lossless."""

    def pillow(**options: int) -> Write:
        return lambda pixels: _pillow(pixels, "WEBP", **options)

    found: dict[str, Write] = {
        "service (Pillow, method 1)": lambda pixels: imaging.encode(pixels, "webp", quality=_QUALITY)
    }
    found |= {f"Pillow, method {method}": pillow(quality=_QUALITY, method=method) for method in (0, 2, 3, 4, 5, 6)}
    found["Pillow, lossless, method 0"] = pillow(lossless=True, quality=0, method=0)
    found["Pillow, lossless, method 4"] = pillow(lossless=True, method=4)
    if cv2 := modules.get("cv2"):
        found["OpenCV"] = lambda pixels: cv2.imencode(
            ".webp", pixels[:, :, ::-1] if pixels.shape[2] == 3 else pixels, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY]
        )[1]
    return found


def npy_writers() -> dict[str, Write]:
    """The raw array."""
    return {"service": lambda pixels: imaging.encode(pixels, "npy", quality=_QUALITY)}


def filters() -> Iterator[tuple[str, Callable[[Pixels], NDArray[np.uint8]]]]:
    """PNG's row filters in plain numpy: what each makes of [height, width, channels] pixels, filter bytes included."""
    for number, name in enumerate(("none", "sub", "up", "average", "Paeth")):
        yield name, lambda pixels, number=number: _filtered(pixels, number)  # type: ignore[misc]  # mypy cannot infer a lambda's default
    yield "per row, least sum of none, sub, up", lambda pixels: _least(pixels, (0, 1, 2))
    yield "per row, least sum of all five", lambda pixels: _least(pixels, range(5))


def _filtered(pixels: Pixels, number: int) -> NDArray[np.uint8]:
    height, width, channels = pixels.shape
    rows = pixels.reshape(height, width * channels)
    padded = np.zeros((height + 1, width * channels + channels), np.uint8)
    padded[1:, channels:] = rows
    left, above, corner = padded[1:, :-channels], padded[:-1, channels:], padded[:-1, :-channels]
    match number:
        case 0:
            expected = np.zeros_like(rows)
        case 1:
            expected = left
        case 2:
            expected = above
        case 3:
            expected = (left & above) + ((left ^ above) >> 1)
        case _:
            a, b, c = (part.astype(np.int16) for part in (left, above, corner))
            near_a, near_b, near_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
            first = (near_a <= near_b) & (near_a <= near_c)
            expected = np.where(first, left, np.where(near_b <= near_c, above, corner))
    lines = np.empty((height, 1 + width * channels), np.uint8)
    lines[:, 0] = number
    np.subtract(rows, expected, out=lines[:, 1:])
    return lines


def _least(pixels: Pixels, numbers: Iterable[int]) -> NDArray[np.uint8]:
    candidates = np.stack([_filtered(pixels, number) for number in numbers])
    sums = np.minimum(candidates[:, :, 1:], -candidates[:, :, 1:]).sum(axis=2, dtype=np.uint32)
    best: NDArray[np.uint8] = candidates[sums.argmin(axis=0), np.arange(pixels.shape[0])]
    return best


def _flat(pixels: Pixels) -> Pixels:
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def _pillow(pixels: Pixels, kind: str, **options: int | PngInfo) -> bytes:
    out = io.BytesIO()
    Image.fromarray(_flat(pixels)).save(out, kind, **options)
    return out.getvalue()
