"""The use case of generating: seeds or latents -> pixels, selected by the discriminator when asked."""

import asyncio
import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.batching import BatchResult
from app.discrimination import probabilities, require_classes
from app.engines.feeds import generator_inputs
from app.errors import DiscriminatorUnavailable, FieldError, InvalidRequest
from app.registry import LiveModel
from bundle import classes_of, sample_latents
from bundle.latents import SEED_LIMIT

LATENT_LIMIT = 1000.0
"""No latent value may be further from zero."""
_SEEDS_ON_THE_LOOP = 16


@dataclass(frozen=True)
class GenerateOrder:
    """What is to be made: one image per seed, or per latent row float32 [n, dim]; exactly one of the two is given.

    `class_ids` has one class per image, None leaves it to z. `best_of` draws that many candidates per image and keeps
    the one that D finds most real; `min_realness` draws until D agrees or `max_attempts` draws are spent.
    """

    model: LiveModel
    seeds: Sequence[int] | None
    latents: NDArray[np.float32] | None
    class_ids: Sequence[int] | None = None
    truncation: float | None = None
    best_of: int = 1
    min_realness: float | None = None
    max_attempts: int = 16
    want_realness: bool = False

    @property
    def selects(self) -> bool:
        """Whether there may be several candidates for an image."""
        return self.best_of > 1 or self.min_realness is not None


@dataclass(frozen=True)
class GeneratedImage:
    """Pixels uint8 [h, w, c] and all that is needed to make them again.

    `seed` is the one it was really made from, `attempts` the number of candidates drawn for it, and `accepted` is
    False when none of them reached `min_realness`; it is then the most real of them.
    """

    seed: int | None
    class_id: int | None
    pixels: NDArray[np.uint8]
    latent: NDArray[np.float32]
    realness: float | None
    attempts: int
    accepted: bool


@dataclass(frozen=True)
class Generation:
    """The images in the order asked for; seconds of waiting for batches and of inference, summed over draws."""

    images: list[GeneratedImage]
    queue_s: float
    inference_s: float


def draw_seeds(count: int) -> list[int]:
    """Fresh seeds from the operating system's randomness."""
    return [secrets.randbelow(SEED_LIMIT) for _ in range(count)]


def candidate_seed(seed: int, attempt: int) -> int:
    """The seed of the attempt-th candidate for `seed`: itself first, then a function of both, the same everywhere.

    The first four bytes, big-endian, of SHA-256 of "<seed>/<attempt>" in ASCII.
    """
    if attempt == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/{attempt}".encode("ascii")).digest()[:4], "big")


async def generate(order: GenerateOrder, *, deadline: float | None) -> Generation:
    """Make the images of `order` before `deadline` (time.monotonic).

    Raises InvalidRequest for what the model cannot do, DiscriminatorUnavailable when a selection or realness is asked
    of a model without one, and what the batchers raise.
    """
    check(order)
    if not (order.selects or order.want_realness):
        return await _once(order, deadline)
    draws = _Draws(order)
    attempts = order.max_attempts if order.min_realness is not None else 1
    for attempt in range(attempts):
        await draws.draw(attempt, deadline)
        if not draws.pending:
            break
    return Generation(draws.images(), draws.queue_s, draws.inference_s)


async def _once(order: GenerateOrder, deadline: float | None) -> Generation:
    """Every image as its seed or latent has it, with nobody to judge them."""
    manifest, seeds = order.model.manifest, order.seeds
    z = await _latents(order, seeds, deadline)
    classes = _classes(order, range(len(z)), z)
    truncation = 1.0 if order.truncation is None else order.truncation
    made = await order.model.generator.submit(generator_inputs(manifest, z, classes, truncation), deadline=deadline)
    images = [
        GeneratedImage(
            seed=None if seeds is None else seeds[row],
            class_id=None if classes is None else int(classes[row]),
            pixels=pixels,
            latent=z[row],
            realness=None,
            attempts=1,
            accepted=True,
        )
        for row, pixels in enumerate(made.outputs["image"])
    ]
    return Generation(images, made.queue_s, made.inference_s)


class _Draws:
    """The best candidate so far of every image, and which images still want a better one."""

    def __init__(self, order: GenerateOrder) -> None:
        self._order = order
        self._count = len(order.latents) if order.latents is not None else len(order.seeds or ())
        self._best: dict[int, GeneratedImage] = {}
        self.pending = list(range(self._count))
        self.queue_s = self.inference_s = 0.0

    async def draw(self, attempt: int, deadline: float | None) -> None:
        """Draw `best_of` more candidates for every pending image and keep the best of each."""
        best_of = self._order.best_of
        numbers = range(attempt * best_of, (attempt + 1) * best_of)
        candidates = [(index, number) for index in self.pending for number in numbers]
        # Candidates can outnumber what the queue holds; images alone never do.
        limit = max(1, self._order.model.generator.max_queue_images // 4) if self._order.selects else len(candidates)
        for start in range(0, len(candidates), limit):
            await self._draw(candidates[start : start + limit], deadline)
        self.pending = [index for index in self.pending if not self._best[index].accepted]

    async def _draw(self, candidates: list[tuple[int, int]], deadline: float | None) -> None:
        order, model = self._order, self._order.model
        seeds = None
        if order.seeds is not None:
            seeds = [candidate_seed(order.seeds[index], number) for index, number in candidates]
        z = await _latents(order, seeds, deadline)
        classes = _classes(order, [index for index, _ in candidates], z)
        truncation = 1.0 if order.truncation is None else order.truncation
        made = await model.generator.submit(generator_inputs(model.manifest, z, classes, truncation), deadline=deadline)
        self._account(made)
        pixels = made.outputs["image"]
        realness = None
        if order.selects or order.want_realness:
            judged = await probabilities(model, pixels, classes, deadline)
            self._account(judged)
            realness = judged.outputs["probability"]
        for row, (index, _) in enumerate(candidates):
            image = GeneratedImage(
                seed=None if seeds is None else seeds[row],
                class_id=None if classes is None else int(classes[row]),
                pixels=pixels[row],
                latent=z[row],
                realness=None if realness is None else float(realness[row]),
                attempts=1,
                accepted=order.min_realness is None
                or (realness is not None and float(realness[row]) >= order.min_realness),
            )
            self._keep(index, image)

    def images(self) -> list[GeneratedImage]:
        """The best candidate of every image, in order."""
        return [self._best[index] for index in range(self._count)]

    def _keep(self, index: int, image: GeneratedImage) -> None:
        best = self._best.get(index)
        if best is None:
            self._best[index] = image
            return
        better = image if (image.realness or 0.0) > (best.realness or 0.0) else best
        self._best[index] = replace(better, attempts=best.attempts + 1)

    def _account(self, result: BatchResult) -> None:
        self.queue_s += result.queue_s
        self.inference_s += result.inference_s


async def _latents(order: GenerateOrder, seeds: Sequence[int] | None, deadline: float | None) -> NDArray[np.float32]:
    """One latent for each seed, or else those of the order.

    They are drawn on a thread where drawing them would hold the event loop up for longer than the hop costs, and only
    once there is room for them in the queue: drawing many takes longer than refusing.
    """
    latent = order.model.manifest.latent
    if seeds is None:
        return np.asarray(order.latents, dtype=np.float32)
    if len(seeds) <= _SEEDS_ON_THE_LOOP:
        return sample_latents(latent, seeds)
    with order.model.generator.holding(len(seeds), deadline=deadline):
        return await asyncio.to_thread(sample_latents, latent, seeds)


def _classes(order: GenerateOrder, images: Iterable[int], z: NDArray[np.float32]) -> NDArray[np.int64] | None:
    names = order.model.manifest.classes
    if names is None:
        return None
    if order.class_ids is not None:
        return np.array([order.class_ids[index] for index in images], dtype=np.int64)
    return classes_of(z, len(names))


def check(order: GenerateOrder) -> None:
    """Raise InvalidRequest or DiscriminatorUnavailable for an order that the model cannot fulfil."""
    manifest = order.model.manifest
    if order.class_ids is not None:
        require_classes(order.model, order.class_ids)
    if order.truncation is not None and not manifest.truncation.supported:
        _refuse("truncation", "this model does not support truncation")
    if order.latents is not None:
        _check_latents(order.latents, manifest.latent.dim)
        if order.selects:
            field = "best_of" if order.best_of > 1 else "min_realness"
            _refuse(field, "a latent makes one image; selection needs seed, seeds or n to draw from")
    if (order.selects or order.want_realness) and order.model.discriminator is None:
        raise DiscriminatorUnavailable("this model is served without a discriminator, which this request needs")


def _check_latents(latents: NDArray[np.float32], dim: int) -> None:
    if latents.ndim != 2 or latents.shape[1] != dim:
        _refuse("latents", f"each row must have {dim} numbers, the length of this model's latent")
    if not (np.abs(latents) <= LATENT_LIMIT).all():
        _refuse("latents", "must hold finite numbers from -1000 to 1000")


def _refuse(field: str, message: str) -> None:
    raise InvalidRequest("the request is not valid", [FieldError(field, message)])
