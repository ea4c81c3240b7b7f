"""`POST /generate`: images from seeds, from fresh seeds, or from latents."""

from functools import partial
from typing import cast

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api import answers, bodies, negotiation, openapi, strict_json
from app.api.fields import spread
from app.api.files import FEW_PIXELS, FileKind, cached_files, count_files
from app.api.request_scope import context_of, deadline_of
from app.api.schemas import GenerateRequest, validate
from app.api.service import Service, service_of
from app.api.watch import Watch
from app.cache import ImageCache
from app.generation import GenerateOrder, Generation, draw_seeds, generate
from app.imaging import ImageFormat
from app.registry import LiveModel

router = APIRouter(tags=["images"])

# Below this a body is parsed where it is: the hop to a thread would cost more.
_SMALL_BODY_BYTES = 16 * 1024
# The same for files that only have to be put into an answer.
_SMALL_FILES_BYTES = 64 * 1024


@router.post("/generate", **openapi.GENERATE)
async def post_generate(request: Request) -> Response:
    """Make images.

    The same seed, class, truncation and model make the same image, whatever else is asked for beside it.
    """
    service = service_of(request)
    service.lifecycle.require_ready()
    deadline = deadline_of(request, service.settings.request_timeout_s)
    bodies.require_media_type(request, bodies.JSON)
    with Watch(request, deadline) as watch:
        raw = await bodies.read_body(request, watch, limit_bytes=service.settings.max_body_bytes)
        if len(raw) <= _SMALL_BODY_BYTES:
            wanted = _parse(raw, service.settings.max_images_per_request)
        else:
            wanted = await service.workers.run(_parse, raw, service.settings.max_images_per_request)
        with service.registry.use(wanted.model) as model:
            context = context_of(request)
            presentation = _presentation(wanted, model, context.header(b"accept"), service.settings.png_level)
            order, request_id = _order(wanted, model), context.id
            if service.cache is not None and _may_be_cached(wanted, presentation):
                return await _make_files(service, service.cache, request_id, order, presentation, deadline=deadline)
            return await _make(service, request_id, order, presentation, deadline)


def _parse(raw: bytes, max_images: int) -> GenerateRequest:
    return validate(GenerateRequest, strict_json.parse(raw), max_images=max_images)


def _order(wanted: GenerateRequest, model: LiveModel) -> GenerateOrder:
    seeds = wanted.seeds
    if wanted.seed is not None:
        seeds = [wanted.seed]
    elif wanted.n is not None:
        seeds = draw_seeds(wanted.n)
    return GenerateOrder(
        model=model,
        seeds=seeds,
        latents=wanted.latents,
        class_ids=spread(wanted.class_id, wanted.image_count),
        truncation=wanted.truncation,
        best_of=wanted.best_of,
        min_realness=wanted.min_realness,
        max_attempts=wanted.max_attempts,
        want_realness="realness" in wanted.include,
    )


def _presentation(
    wanted: GenerateRequest, model: LiveModel, accept: str | None, png_level: int
) -> answers.Presentation:
    as_grid = wanted.layout == "grid"
    offers = negotiation.representations(
        one_picture=as_grid or wanted.image_count == 1, preferred_picture=f"image/{wanted.format}"
    )
    truncation = 1.0 if wanted.truncation is None else wanted.truncation
    return answers.Presentation(
        media_type=negotiation.negotiate(accept, offers),
        image_format=wanted.format,
        quality=wanted.quality,
        as_grid=as_grid,
        with_latents="latents" in wanted.include,
        truncation=truncation if model.manifest.truncation.supported else None,
        judged=wanted.min_realness is not None,
        png_level=png_level,
    )


async def _make(
    service: Service,
    request_id: str,
    order: GenerateOrder,
    presentation: answers.Presentation,
    deadline: float,
) -> Response:
    generation: Generation = await generate(order, deadline=deadline)
    work = partial(answers.compose, request_id, order.model, generation, presentation)
    spec = order.model.manifest.image
    pixels = len(generation.images) * spec.height * spec.width * spec.channels
    answer = work() if pixels <= FEW_PIXELS else await service.workers.run(work)
    service.count(order.model, generation, encode_s=answer.encode_s)
    return Response(answer.body, media_type=answer.media_type, headers=answer.headers)


def _may_be_cached(wanted: GenerateRequest, presentation: answers.Presentation) -> bool:
    """Whether the answer consists of files of single images, each of which its seed determines.

    Fresh seeds are not asked for again; a selection, realness and latents take more than the files.
    """
    return (
        (wanted.seed is not None or wanted.seeds is not None)
        and wanted.best_of == 1
        and wanted.min_realness is None
        and not wanted.include
        and not presentation.as_grid
        and presentation.media_type != negotiation.NPY
    )


async def _make_files(
    service: Service,
    cache: ImageCache,
    request_id: str,
    order: GenerateOrder,
    presentation: answers.Presentation,
    *,
    deadline: float,
) -> Response:
    media_type, image_format = presentation.media_type, presentation.image_format
    if media_type in negotiation.PICTURES:
        image_format = cast(ImageFormat, media_type.removeprefix("image/"))
    kind = FileKind(image_format, presentation.quality, presentation.truncation, presentation.png_level)
    files = await cached_files(service, cache, order, kind, deadline)
    compose = partial(
        answers.compose_files,
        request_id,
        order.model,
        order.seeds or (),
        files.images,
        presentation,
        timings_s=(files.queue_s, files.inference_s, files.encode_s),
        hit=files.made == 0,
    )
    small = sum(len(image.data) for image in files.images) <= _SMALL_FILES_BYTES
    answer = compose() if small else await service.workers.run(compose)
    count_files(service, order.model, files)
    return Response(answer.body, media_type=answer.media_type, headers=answer.headers)
