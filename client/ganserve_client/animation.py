"""A walk from image to image, as POST /interpolate answers."""

from dataclasses import dataclass
from typing import Self

from ganserve_client.answer import Json, ModelRef, Timings, file_of
from ganserve_client.options import AnimationFormat


@dataclass(frozen=True)
class Animation:
    """An animation; `id` is the request's id, `seeds` those of the key frames, None where these were latents."""

    id: str
    model: ModelRef
    format: AnimationFormat
    frames: int
    width: int  # pixels
    height: int
    fps: float
    loop: bool
    seeds: tuple[int, ...] | None
    data: bytes
    timings_ms: Timings

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read the answer."""
        told = body["animation"]
        return cls(
            id=body["id"],
            model=ModelRef.read(body["model"]),
            format=told["format"],
            frames=told["frames"],
            width=told["width"],
            height=told["height"],
            fps=float(told["fps"]),
            loop=told["loop"],
            seeds=None if told["seeds"] is None else tuple(told["seeds"]),
            data=file_of(told),
            timings_ms=Timings.read(body["timings_ms"]),
        )
