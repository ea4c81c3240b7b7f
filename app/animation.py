"""Frames -> one animated file: WebP, GIF or APNG."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.imaging import Pixels

AnimationFormat = Literal["webp", "gif", "apng"]

LOSSLESS = 100
"""The quality at which WebP keeps every pixel."""
# As for single pictures: half the time of the default for files of about its size.
_WEBP_METHOD = 1


def encode_animation(
    frames: Sequence[Pixels],
    animation_format: AnimationFormat,
    *,
    fps: float,
    loop: bool,
    quality: int = 90,
    text: Mapping[str, str] | None = None,
) -> bytes:
    """Encode uint8 [height, width, 1 or 3] frames, all of one size; the same frames make the same bytes.

    A `loop` plays for ever, anything else once. `fps` is met as well as the format's clock can, which ticks in
    milliseconds, in GIF in hundredths of a second. `quality` is 1..100 for WebP; GIF has 256 colours a frame. `text`
    becomes text chunks of an APNG. Raises ValueError for no frames.
    """
    if not frames:
        raise ValueError("an animation needs at least one frame")
    pictures = [Image.fromarray(frame[:, :, 0] if frame.shape[2] == 1 else frame) for frame in frames]
    out = io.BytesIO()
    options: dict[str, Any] = {"save_all": True, "append_images": pictures[1:], "duration": _duration_ms(fps)}
    match animation_format:
        case "webp":
            options |= {"loop": 0 if loop else 1, "method": _WEBP_METHOD}
            options |= {"lossless": True} if quality == LOSSLESS else {"quality": quality}
            pictures[0].save(out, "WEBP", **options)
        case "gif":
            pictures[0].save(out, "GIF", **options, **({"loop": 0} if loop else {}))
        case "apng":
            info = PngInfo()
            for key, value in (text or {}).items():
                info.add_text(key, value)
            pictures[0].save(out, "PNG", **options, loop=0 if loop else 1, pnginfo=info)
    return out.getvalue()


def enlarge(frames: Sequence[Pixels], scale: int) -> list[Pixels]:
    """Every pixel as a square of `scale` x `scale`."""
    if scale == 1:
        return list(frames)
    return [np.repeat(np.repeat(frame, scale, axis=0), scale, axis=1) for frame in frames]


def _duration_ms(fps: float) -> int:
    return max(round(1000 / fps), 1)
