"""Images as files, one each: those that the cache has are handed over, the others made together and encoded."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from app import imaging
from app.api.answers import image_text
from app.api.service import Service
from app.cache import EncodedImage, ImageCache, ImageKey
from app.generation import GenerateOrder, Generation, check, generate
from app.imaging import ImageFormat
from app.registry import LiveModel

FEW_PIXELS = 4096
"""So many values are encoded where they are: the hop to a thread would cost more."""


@dataclass(frozen=True)
class FileKind:
    """How images are written; `truncation` is what their text says, None where the model has none."""

    image_format: ImageFormat
    quality: int
    truncation: float | None
    png_level: int


@dataclass(frozen=True)
class Files:
    """A file per seed of the order, and what making those that were not there took; `made` counts them."""

    images: Sequence[EncodedImage]
    queue_s: float
    inference_s: float
    encode_s: float
    made: int


async def cached_files(
    service: Service, cache: ImageCache, order: GenerateOrder, kind: FileKind, deadline: float
) -> Files:
    """The files of an order of seeds without selection or realness, which the cache may answer.

    Their bytes are those that they would have without a cache. Raises as `generation.generate` does.
    """
    # What is there already is not run, so it would not be refused.
    check(order)
    seeds = list(order.seeds or ())
    class_ids = [None] * len(seeds) if order.class_ids is None else list(order.class_ids)
    keys = [_key(order.model, seed, class_id, kind) for seed, class_id in zip(seeds, class_ids, strict=True)]
    spent = [Files((), 0.0, 0.0, 0.0, 0)]

    async def make(missing: Sequence[ImageKey]) -> Sequence[EncodedImage]:
        part = replace(
            order,
            seeds=[key.seed for key in missing],
            class_ids=None
            if order.class_ids is None
            else [key.class_id for key in missing if key.class_id is not None],
        )
        files = await make_files(service, part, kind, deadline)
        spent.append(files)
        return files.images

    lookup = await cache.images(keys, make)
    return Files(
        lookup.images,
        queue_s=sum(files.queue_s for files in spent),
        inference_s=sum(files.inference_s for files in spent),
        encode_s=sum(files.encode_s for files in spent),
        made=lookup.made,
    )


def count_files(service: Service, model: LiveModel, files: Files) -> None:
    """Put files that are being handed over into the metrics; the times only where something was made."""
    metrics = service.metrics
    metrics.images.labels(model.name).inc(len(files.images))
    if files.made:
        metrics.queue_seconds.observe(files.queue_s)
        metrics.encode_seconds.observe(files.encode_s)
    if service.cache is not None:
        metrics.cache_hits.labels(model.name).inc(len(files.images) - files.made)
        metrics.cache_misses.labels(model.name).inc(files.made)


async def make_files(service: Service, order: GenerateOrder, kind: FileKind, deadline: float) -> Files:
    """The files of an order of seeds, all of them made. Raises as `generation.generate` does."""
    generation = await generate(order, deadline=deadline)
    began = time.perf_counter()
    work = partial(_encode, order.model, generation, kind)
    spec = order.model.manifest.image
    pixels = len(generation.images) * spec.height * spec.width * spec.channels
    images = work() if pixels <= FEW_PIXELS else await service.workers.run(work)
    encode_s = time.perf_counter() - began
    return Files(images, generation.queue_s, generation.inference_s, encode_s, len(images))


def _encode(model: LiveModel, generation: Generation, kind: FileKind) -> list[EncodedImage]:
    return [
        EncodedImage(
            imaging.encode(
                image.pixels,
                kind.image_format,
                quality=kind.quality,
                text=image_text(image, model, kind.truncation),
                png_level=kind.png_level,
            ),
            image.class_id,
        )
        for image in generation.images
    ]


def _key(model: LiveModel, seed: int, class_id: int | None, kind: FileKind) -> ImageKey:
    return ImageKey(
        digest=model.digest,
        provider=model.provider,
        seed=seed,
        class_id=class_id,
        truncation=None if kind.truncation is None else repr(kind.truncation),
        image_format=kind.image_format,
        quality={"png": kind.png_level, "npy": None}.get(kind.image_format, kind.quality),
    )
