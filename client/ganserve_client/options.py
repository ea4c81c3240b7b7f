"""What may be asked for, by name; docs/http-api.md of the service says what each field means."""

import os
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

ImageFormat = Literal["png", "jpeg", "webp", "npy"]
PictureFormat = Literal["png", "jpeg", "webp"]
AnimationFormat = Literal["webp", "gif", "apng"]
File = bytes | str | os.PathLike[str]
"""An image file: its bytes, or where it lies."""


@runtime_checkable
class Listed(Protocol):
    """What turns itself into lists and numbers: an array of numpy, torch or jax, or one of their scalars."""

    def tolist(self) -> Any:  # noqa: ANN401 -- as numpy types it
        """The same as nested lists, or as a number."""


class DrawOptions(TypedDict, total=False):
    """What to draw, for every way of handing it over. Exactly one of the first four is given; None is as absent."""

    seed: int | Listed | None
    seeds: Sequence[int] | Listed | None
    n: int | Listed | None  # fresh seeds, which the answer names
    latents: Sequence[Sequence[float]] | Listed | None  # [n, dim]
    model: str | None  # "name" or "name@version"; the default model
    class_id: int | Sequence[int] | Listed | None  # for all images, or one per image; a function of the seed
    truncation: float | None  # 0 to 1; 1
    layout: Literal["list", "grid"] | None  # "grid": one sheet
    best_of: int | None  # 1 to 16
    min_realness: float | None  # 0 to 1
    max_attempts: int | None  # 1 to 64; 16


class GenerateOptions(DrawOptions, total=False):
    """Every field of POST /generate: what to draw, and in which files."""

    format: ImageFormat | None  # "png"
    quality: int | None  # 1 to 100, of JPEG and WebP; 90
    include: Sequence[Literal["latents", "realness"]] | None


class InterpolateOptions(TypedDict, total=False):
    """Every field of POST /interpolate. Exactly one of the first three is given, with two or more key frames."""

    seeds: Sequence[int] | Listed | None
    latents: Sequence[Sequence[float]] | Listed | None  # [key frames, dim]
    n: int | Listed | None  # fresh seeds, which the answer names
    model: str | None  # "name" or "name@version"; the default model
    class_id: int | Sequence[int] | Listed | None  # for all frames, or one per key frame
    truncation: float | None  # 0 to 1; 1
    steps: int | None  # frames from one key frame to the next; 30
    mode: Literal["slerp", "lerp"] | None  # what suits the model's latents
    easing: Literal["linear", "smooth"] | None  # "linear"
    loop: bool | None  # back to the first key frame; False
    fps: float | None  # 1 to 50; 30
    format: AnimationFormat | None  # "webp"
    quality: int | None  # 1 to 100, of WebP; 90
    scale: int | None  # 1 to 16, pixels' side; 1
