"""`POST /generate`: images from seeds, from fresh seeds, or from latents."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api import answers, bodies, negotiation, openapi, strict_json
from app.api.fields import spread
from app.api.request_scope import context_of, deadline_of
from app.api.schemas import GenerateRequest, validate
from app.api.service import Service, service_of, while_wanted
from app.generation import GenerateOrder, Generation, draw_seeds, generate
from app.registry import LiveModel

router = APIRouter(tags=["images"])

# Below this a body is parsed where it is: the hop to a thread would cost more.
_SMALL_BODY_BYTES = 16 * 1024


@router.post("/generate", **openapi.GENERATE)
async def post_generate(request: Request) -> Response:
    """Make images.

    The same seed, class, truncation and model make the same image, whatever else is asked for beside it.
    """
    service = service_of(request)
    service.lifecycle.require_ready()
    deadline = deadline_of(request, service.settings.request_timeout_s)
    bodies.require_media_type(request, bodies.JSON)
    raw = await bodies.read_body(request, limit_bytes=service.settings.max_body_bytes, deadline=deadline)
    if len(raw) <= _SMALL_BODY_BYTES:
        wanted = _parse(raw, service.settings.max_images_per_request)
    else:
        wanted = await service.workers.run(_parse, raw, service.settings.max_images_per_request)
    with service.registry.use(wanted.model) as model:
        presentation = _presentation(wanted, model, request.headers.get("accept"))
        work = _make(service, context_of(request).id, _order(wanted, model), presentation, deadline)
        return await while_wanted(request, work, deadline=deadline)


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


def _presentation(wanted: GenerateRequest, model: LiveModel, accept: str | None) -> answers.Presentation:
    as_grid = wanted.layout == "grid"
    offers = negotiation.representations(
        wanted.image_count, as_grid=as_grid, preferred_picture=f"image/{wanted.format}"
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
    )


async def _make(
    service: Service,
    request_id: str,
    order: GenerateOrder,
    presentation: answers.Presentation,
    deadline: float,
) -> Response:
    generation: Generation = await generate(order, deadline=deadline)
    answer = await service.workers.run(answers.compose, request_id, order.model, generation, presentation)
    service.count(order.model, generation, encode_s=answer.encode_s)
    return Response(answer.body, media_type=answer.media_type, headers=dict(answer.headers))
