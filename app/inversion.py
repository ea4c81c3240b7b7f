"""The use case of inversion: an image -> the latent whose image comes nearest to it."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.batching import BatchResult
from app.discrimination import require_classes
from app.engines.feeds import encoder_inputs, generator_inputs
from app.errors import EncoderUnavailable, ModelFailure
from app.refinement import Refinement
from app.registry import LiveModel
from bundle.latents import latent_limit

logger = logging.getLogger(__name__)

_MOST_BYTES = 2**26
"""Pixels of all candidates that are looked at together."""


@dataclass(frozen=True)
class Inverse:
    """What an image was found to be made from, float32 [dim] and the class, and the image that they make.

    Errors are mean squared differences of pixels in [0, 1]: `error` that of `pixels`, uint8 [h, w, c], `error_before`
    that of what the encoder alone had found. `evaluations` counts the candidates that were looked at beside that.
    """

    latent: NDArray[np.float32]
    class_id: int | None
    pixels: NDArray[np.uint8]
    error: float
    error_before: float
    evaluations: int


@dataclass(frozen=True)
class Inversion:
    """An inverse per image; seconds of waiting for batches and of inference, summed over all of them."""

    inverses: list[Inverse]
    queue_s: float
    inference_s: float


async def invert(
    model: LiveModel,
    pixels: NDArray[np.uint8],
    *,
    class_ids: Sequence[int] | None,
    budget: int,
    deadline: float | None,
) -> Inversion:
    """Invert uint8 [n, height, width, channels] before `deadline` (time.monotonic), under the classes given or found.

    The encoder's guess is refined with up to `budget` candidates for each image. The same image has the same inverse,
    whatever it comes with. Raises EncoderUnavailable, InvalidRequest for a class that the model does not have, and
    what the batcher raises.
    """
    if model.encoder is None:
        raise EncoderUnavailable("this model has no encoder")
    if class_ids is not None:
        require_classes(model, class_ids)
    search = _Search(model, deadline)
    latents, found_classes = await search.encode(pixels)
    classes = found_classes if class_ids is None else np.array(class_ids, dtype=np.int64)
    limit = latent_limit(model.manifest.latent)
    refinements = [Refinement(image, z, limit=limit, budget=budget) for image, z in zip(pixels, latents, strict=True)]
    together = max(1, search.most_rows // refinements[0].most_rows)
    for start in range(0, len(refinements), together):
        group = slice(start, start + together)
        await search.refine(refinements[group], None if classes is None else classes[group])
    inverses = [
        Inverse(
            latent=one.latent,
            class_id=None if classes is None else int(classes[index]),
            pixels=one.pixels,
            error=one.error,
            error_before=one.error_before,
            evaluations=one.evaluations,
        )
        for index, one in enumerate(refinements)
    ]
    return Inversion(inverses, search.queue_s, search.inference_s)


class _Search:
    """The work of one request in the model's queues."""

    def __init__(self, model: LiveModel, deadline: float | None) -> None:
        self._model = model
        self._deadline = deadline
        self.queue_s = self.inference_s = 0.0
        image = model.manifest.image
        rows = _MOST_BYTES // (image.height * image.width * image.channels)
        # A quarter of the queue at a time, so that a long search neither fails for its length nor keeps others out.
        self.most_rows = max(1, min(rows, model.generator.max_queue_images // 4))

    async def encode(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        """The encoder's latents float32 [n, dim], and its classes int64 [n] where there are any."""
        if self._model.encoder is None:
            raise EncoderUnavailable("this model has no encoder")
        found = await self._model.encoder.submit(encoder_inputs(pixels), deadline=self._deadline)
        self._account(found)
        if not all(np.isfinite(values).all() for values in found.outputs.values()):
            logger.error("model %s: the encoder's output is not finite", self._model.label)
            raise ModelFailure("the model failed on this request")
        logits = found.outputs.get("class_logits")
        return found.outputs["z"], None if logits is None else logits.argmax(axis=1).astype(np.int64)

    async def refine(self, refinements: Sequence[Refinement], classes: NDArray[np.int64] | None) -> None:
        """Carry all of them to their ends, the candidates of each round side by side."""
        while True:
            asked = [one.ask() for one in refinements]
            counts = [len(rows) for rows in asked]
            if not sum(counts):
                return
            images = await self._generate(np.concatenate(asked), None if classes is None else classes.repeat(counts))
            await asyncio.to_thread(_tell, refinements, np.split(images, np.cumsum(counts)[:-1]))

    async def _generate(self, z: NDArray[np.float32], classes: NDArray[np.int64] | None) -> NDArray[np.uint8]:
        parts = []
        for start in range(0, len(z), self.most_rows):
            rows = slice(start, start + self.most_rows)
            inputs = generator_inputs(self._model.manifest, z[rows], None if classes is None else classes[rows], 1.0)
            made = await self._model.generator.submit(inputs, deadline=self._deadline)
            self._account(made)
            parts.append(made.outputs["image"])
        return np.concatenate(parts)

    def _account(self, result: BatchResult) -> None:
        self.queue_s += result.queue_s
        self.inference_s += result.inference_s


def _tell(refinements: Sequence[Refinement], images: Sequence[NDArray[np.uint8]]) -> None:
    for one, made in zip(refinements, images, strict=True):
        if len(made):
            one.tell(made)
