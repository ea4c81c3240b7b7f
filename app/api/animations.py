"""A walk's frames -> the bytes of an answer: an animation, JSON that holds one, a zip of frames, or an array."""

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import orjson

from app import imaging
from app.animation import AnimationFormat, encode_animation, enlarge
from app.api import negotiation
from app.api.answers import Answer, archive, head_of, image_text, server_timing, timings_ms_of
from app.generation import Generation
from app.registry import LiveModel

_FORMATS: tuple[AnimationFormat, ...] = ("webp", "gif", "apng")
_MAX_HEADER_CHARS = 4096


@dataclass(frozen=True)
class Presentation:
    """How a client wants its walk; `seeds` are those of the key frames, None where these were latents.

    `truncation` is None where the model has none.
    """

    media_type: str
    animation_format: AnimationFormat
    fps: float
    loop: bool
    quality: int
    scale: int
    seeds: Sequence[int] | None
    truncation: float | None
    png_level: int


def representations(preferred: AnimationFormat) -> tuple[str, ...]:
    """What a walk can be had as, best first."""
    formats = sorted(_FORMATS, key=lambda one: one != preferred)
    return (*(f"image/{one}" for one in formats), negotiation.JSON, negotiation.ZIP, negotiation.NPY)


def compose(request_id: str, model: LiveModel, generation: Generation, how: Presentation) -> Answer:
    """Encode the frames of `generation` as `how` says; computes, so it belongs on a worker thread."""
    began = time.perf_counter()
    frames = enlarge([image.pixels for image in generation.images], how.scale)
    record: dict[str, Any] = {
        "frames": len(frames),
        "width": frames[0].shape[1],
        "height": frames[0].shape[0],
        "fps": how.fps,
        "loop": how.loop,
        "seeds": None if how.seeds is None else list(how.seeds),
    }
    files: dict[str, bytes] = {}
    match how.media_type:
        case negotiation.NPY:
            body = imaging.encode_npy(np.stack(frames))
        case negotiation.ZIP:
            files = _files(generation, frames, model, how)
            body = b""
        case negotiation.JSON:
            body = _animation(frames, model, how, how.animation_format)
        case picture:
            body = _animation(frames, model, how, cast(AnimationFormat, picture.removeprefix("image/")))
    encode_s = time.perf_counter() - began
    head = head_of(request_id, model) | {
        "timings_ms": timings_ms_of(generation.queue_s, generation.inference_s, encode_s)
    }
    if how.media_type == negotiation.ZIP:
        body = archive(files, head | {"animation": record | {"files": list(files)}})
    elif how.media_type == negotiation.JSON:
        data = base64.b64encode(body).decode()
        body = orjson.dumps(head | {"animation": {"format": how.animation_format} | record | {"data": data}})
    headers = {
        "Server-Timing": server_timing(generation.queue_s, generation.inference_s, encode_s),
        "X-Model": model.label,
        "X-Frames": str(len(frames)),
        "Vary": "Accept",
    }
    seeds = ",".join(map(str, how.seeds or ()))
    if 0 < len(seeds) <= _MAX_HEADER_CHARS:
        headers["X-Seed"] = seeds
    return Answer(body, how.media_type, headers, encode_s)


def _animation(
    frames: Sequence[imaging.Pixels], model: LiveModel, how: Presentation, animation_format: AnimationFormat
) -> bytes:
    text = {"model": model.label, "digest": model.digest}
    if how.seeds is not None:
        text["seeds"] = ",".join(map(str, how.seeds))
    if how.truncation is not None:
        text["truncation"] = repr(how.truncation)
    return encode_animation(frames, animation_format, fps=how.fps, loop=how.loop, quality=how.quality, text=text)


def _files(
    generation: Generation, frames: Sequence[imaging.Pixels], model: LiveModel, how: Presentation
) -> dict[str, bytes]:
    """A PNG per frame, from whose text the image can be made again."""
    return {
        f"{index:04d}.png": imaging.encode(
            pixels,
            "png",
            quality=how.quality,
            text=image_text(image, model, how.truncation),
            png_level=how.png_level,
        )
        for index, (image, pixels) in enumerate(zip(generation.images, frames, strict=True))
    }
