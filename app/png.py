"""PNG files of uint8 pixels: chunks, row filters and deflate (PNG specification, third edition)."""

import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

REVISION = 1
"""Raised when the same pixels, level and text begin to make another file."""

TEXT_LIMIT_CHARS = 2**19
"""Longer texts are left out: latents of 65,536 floats in base64 fit, and decoders stop at a MiB of text."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 3: 2}
_NO_FILTER, _AVERAGE = 0, 3
# A filter takes longer than it saves where all of it fits in a packet anyway, and makes digits larger.
_UNFILTERED_BYTES = 1024
# The filter goes through the image in pieces whose intermediate results stay in a core's own cache.
_PIECE_BYTES = 2**18
_CACHED_TEXT_CHARS = 128


def encode_png(pixels: NDArray[np.uint8], *, level: int, text: Mapping[str, str]) -> bytes:
    """A PNG of [height, width, 1 or 3] pixels with `text` as text chunks, the same bytes every time.

    `level` is 0..9: 0 stores, 1 to 3 are fast, from 4 files are smaller and take longer. Texts past
    TEXT_LIMIT_CHARS are left out. Raises ValueError for a keyword or a text that PNG cannot hold.
    """
    height, width, channels = pixels.shape
    chunks = [_head(width, height, channels)]
    for keyword, value in text.items():
        if len(value) <= _CACHED_TEXT_CHARS:
            chunks.append(_short_text_chunk(keyword, value))
        elif len(value) <= TEXT_LIMIT_CHARS:
            chunks.append(_text_chunk(keyword, value))
    rows = pixels.reshape(height, width * channels)
    filtered = level > 0 and pixels.size > _UNFILTERED_BYTES
    lines = _average_lines(rows, channels) if filtered else _plain_lines(rows)
    chunks += (_chunk(b"IDAT", _deflate(lines.data, level, filtered=filtered)), _END)
    return b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Length, kind, data and the CRC of the latter two (section 5.3)."""
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", _crc32(data, _crc32(kind)))))


_crc32 = isal_zlib.crc32
_END = _chunk(b"IEND", b"")


@lru_cache(maxsize=64)
def _head(width: int, height: int, channels: int) -> bytes:
    """What every file of a shape begins with: eight bits a sample, grey or RGB, not interlaced."""
    return _SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0))


def _text_chunk(keyword: str, value: str) -> bytes:
    """tEXt for what is Latin-1, iTXt in UTF-8 for the rest (section 11.3.3)."""
    key = keyword.encode("latin-1")
    if not 0 < len(key) < 80 or b"\0" in key or "\0" in value:
        raise ValueError("a PNG's keyword has 1 to 79 bytes, and neither it nor its text a zero byte")
    try:
        return _chunk(b"tEXt", key + b"\0" + value.encode("latin-1"))
    except UnicodeEncodeError:
        # Not compressed, in no language that is said, and without a translated keyword.
        return _chunk(b"iTXt", key + b"\0\0\0\0\0" + value.encode())


# A model's name and digest are in all of its files, and its classes in many.
_short_text_chunk = lru_cache(maxsize=256)(_text_chunk)


def _plain_lines(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[height, stride] rows, each behind the byte that says that it is not filtered."""
    height, stride = rows.shape
    lines = np.empty((height, 1 + stride), dtype=np.uint8)
    lines[:, 0] = _NO_FILTER
    lines[:, 1:] = rows
    return lines


def _average_lines(rows: NDArray[np.uint8], pixel_bytes: int) -> NDArray[np.uint8]:
    """[height, stride] rows, each byte less the mean, rounded down, of those to the left and above (section 9.2).

    Outside the image all is 0.
    """
    height, stride = rows.shape
    lines = np.empty((height, 1 + stride), dtype=np.uint8)
    lines[:, 0] = _AVERAGE
    out = lines[:, 1:]
    first, corner = rows[0], slice(pixel_bytes)
    out[0, corner] = first[corner]
    np.subtract(first[pixel_bytes:], first[:-pixel_bytes] >> 1, out=out[0, pixel_bytes:])
    np.subtract(rows[1:, corner], rows[:-1, corner] >> 1, out=out[1:, corner])
    step = max(1, _PIECE_BYTES // stride)
    for top in range(1, height, step):
        bottom = min(height, top + step)
        left, above = rows[top:bottom, :-pixel_bytes], rows[top - 1 : bottom - 1, pixel_bytes:]
        # (left + above) // 2 without leaving uint8: the bits they share, and half of those that differ.
        mean = left ^ above
        mean >>= 1
        mean += left & above
        np.subtract(rows[top:bottom, pixel_bytes:], mean, out=out[top:bottom, pixel_bytes:])
    return lines


def _deflate(lines: memoryview, level: int, *, filtered: bool) -> bytes:
    """A zlib stream; levels 1 to 3 are ISA-L's, the others zlib's own."""
    if 0 < level <= isal_zlib.Z_BEST_COMPRESSION:
        return isal_zlib.compress(lines, level)
    strategy = zlib.Z_FILTERED if filtered else zlib.Z_DEFAULT_STRATEGY
    compressor = zlib.compressobj(level, strategy=strategy)
    return compressor.compress(lines) + compressor.flush()
