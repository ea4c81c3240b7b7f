"""The use case of walking: key latents -> the images on the way from one to the next."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.errors import FieldError, InvalidRequest
from app.generation import GenerateOrder, Generation, check, generate
from app.registry import LiveModel
from bundle import classes_of, sample_latents

Mode = Literal["slerp", "lerp"]
Easing = Literal["linear", "smooth"]

_STRAIGHT = 1e-6
"""Directions whose sine is less than this lie on one line, on which there is no arc."""


@dataclass(frozen=True)
class WalkOrder:
    """A walk past key frames: seeds, or latents float32 [k, dim]; exactly one of the two, and k is at least 2.

    Each of the segments has `steps` frames, its first key included; an open walk ends on the last key, a `loop` leads
    back to the first and stops one frame before it. `mode` None is that of the latent's distribution. `class_ids` has
    one class per key, None leaves it to the keys; a frame has the class of the key that is nearer.
    """

    model: LiveModel
    seeds: Sequence[int] | None
    latents: NDArray[np.float32] | None
    class_ids: Sequence[int] | None = None
    truncation: float | None = None
    steps: int = 30
    mode: Mode | None = None
    easing: Easing = "linear"
    loop: bool = False

    @property
    def keys(self) -> int:
        """How many key frames there are."""
        return len(self.latents) if self.latents is not None else len(self.seeds or ())

    @property
    def frames(self) -> int:
        """How many images the walk has."""
        return self.keys * self.steps if self.loop else (self.keys - 1) * self.steps + 1


@dataclass(frozen=True)
class Course:
    """Where each frame is: `latents` float32 [n, dim], and the key [n] that is nearer, the earlier one of two."""

    latents: NDArray[np.float32]
    nearest: NDArray[np.int64]


async def walk(order: WalkOrder, *, deadline: float | None) -> Generation:
    """The frames of `order` in turn, made before `deadline` (time.monotonic).

    Raises InvalidRequest for fewer than two keys and for what the model cannot do, and what the batcher raises.
    """
    if order.keys < 2:
        raise InvalidRequest("the request is not valid", [FieldError("body", "a walk needs two key frames or more")])
    keyed = GenerateOrder(order.model, order.seeds, order.latents, order.class_ids, order.truncation)
    check(keyed)
    course, class_ids = await asyncio.to_thread(_plan, order)
    # A quarter of the queue at a time, so that a long walk neither fails for its length nor keeps others out.
    size = max(1, order.model.generator.max_queue_images // 4)
    parts = []
    for start in range(0, order.frames, size):
        part = slice(start, start + size)
        classes = None if class_ids is None else class_ids[part]
        frames = GenerateOrder(order.model, None, course.latents[part], classes, order.truncation)
        parts.append(await generate(frames, deadline=deadline))
    images = [image for part in parts for image in part.images]
    return Generation(images, sum(part.queue_s for part in parts), sum(part.inference_s for part in parts))


def _plan(order: WalkOrder) -> tuple[Course, Sequence[int] | None]:
    manifest = order.model.manifest
    keys = order.latents if order.latents is not None else sample_latents(manifest.latent, order.seeds or ())
    mode = order.mode or ("slerp" if manifest.latent.distribution == "normal" else "lerp")
    course = course_of(keys, steps=order.steps, mode=mode, easing=order.easing, loop=order.loop)
    if manifest.classes is None:
        return course, None
    of_keys = classes_of(keys, len(manifest.classes)) if order.class_ids is None else np.array(order.class_ids)
    return course, of_keys[course.nearest].tolist()


def course_of(keys: NDArray[np.float32], *, steps: int, mode: Mode, easing: Easing, loop: bool) -> Course:
    """The course past `keys` float32 [k, dim], k at least 2; it goes through every key exactly.

    `slerp` follows the arc between two directions (Shoemake, 1985), on which normal latents keep their usual length;
    two keys on one line have no arc, and the line is taken. `smooth` eases in and out of every key, 3t^2 - 2t^3.
    """
    ends = np.concatenate([keys, keys[:1]]) if loop else keys
    parts, nearest = [], []
    share = np.arange(steps, dtype=np.float64) / steps
    share = share if easing == "linear" else share * share * (3 - 2 * share)
    for index, (start, end) in enumerate(itertools.pairwise(ends)):
        part = _between(start.astype(np.float64), end.astype(np.float64), share, mode).astype(np.float32)
        part[0] = start  # sin(w) / sin(w) may not be 1
        parts.append(part)
        nearest.append(np.where(share <= 0.5, index, (index + 1) % len(keys)))
    if not loop:
        parts.append(keys[-1:])
        nearest.append(np.array([len(keys) - 1]))
    return Course(np.concatenate(parts), np.concatenate(nearest).astype(np.int64))


def _between(
    start: NDArray[np.float64], end: NDArray[np.float64], share: NDArray[np.float64], mode: Mode
) -> NDArray[np.float64]:
    """Points at each `share` of the way, float64 [n, dim]."""
    weights = 1 - share, share
    lengths = np.linalg.norm(start) * np.linalg.norm(end)
    if mode == "slerp" and lengths > 0:
        angle = np.arccos(np.clip(start @ end / lengths, -1.0, 1.0))
        if np.sin(angle) > _STRAIGHT:
            weights = np.sin((1 - share) * angle) / np.sin(angle), np.sin(share * angle) / np.sin(angle)
    points: NDArray[np.float64] = weights[0][:, None] * start + weights[1][:, None] * end
    return points
