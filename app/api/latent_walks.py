"""`POST /interpolate`: a walk through latent space as an animation, or as its frames."""

from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api import animations, bodies, negotiation, openapi, strict_json
from app.api.fields import spread
from app.api.request_scope import context_of, deadline_of
from app.api.schemas import InterpolateRequest, validate
from app.api.service import service_of
from app.api.watch import Watch
from app.errors import FieldError, InvalidRequest
from app.generation import draw_seeds
from app.latent_walk import WalkOrder, walk
from app.registry import LiveModel
from app.settings import Settings

router = APIRouter(tags=["images"])


@router.post("/interpolate", **openapi.INTERPOLATE)
async def post_interpolate(request: Request) -> Response:
    """Walk from image to image through latent space."""
    service = service_of(request)
    service.lifecycle.require_ready()
    settings = service.settings
    deadline = deadline_of(request, settings.request_timeout_s)
    bodies.require_media_type(request, bodies.JSON)
    with Watch(request, deadline) as watch:
        raw = await bodies.read_body(request, watch, limit_bytes=settings.max_body_bytes)
        wanted = await service.workers.run(_parse, raw, settings.max_images_per_request)
        with service.registry.use(wanted.model) as model:
            context = context_of(request)
            offers = animations.representations(wanted.format)
            media_type = negotiation.negotiate(context.header(b"accept"), offers)
            order = _order(wanted, model)
            _check_size(order, wanted.scale, settings)
            generation = await walk(order, deadline=deadline)
            truncation = 1.0 if wanted.truncation is None else wanted.truncation
            presentation = animations.Presentation(
                media_type=media_type,
                animation_format=wanted.format,
                fps=wanted.fps,
                loop=wanted.loop,
                quality=wanted.quality,
                scale=wanted.scale,
                seeds=order.seeds,
                truncation=truncation if model.manifest.truncation.supported else None,
                png_level=settings.png_level,
            )
            work = partial(animations.compose, context.id, model, generation, presentation)
            answer = await service.workers.run(work)
            service.count(model, generation, encode_s=answer.encode_s)
            return Response(answer.body, media_type=answer.media_type, headers=answer.headers)


def _parse(raw: bytes, max_images: int) -> InterpolateRequest:
    return validate(InterpolateRequest, strict_json.parse(raw), max_images=max_images)


def _order(wanted: InterpolateRequest, model: LiveModel) -> WalkOrder:
    seeds = wanted.seeds if wanted.n is None else draw_seeds(wanted.n)
    return WalkOrder(
        model=model,
        seeds=seeds,
        latents=wanted.latents,
        class_ids=spread(wanted.class_id, wanted.image_count),
        truncation=wanted.truncation,
        steps=wanted.steps,
        mode=wanted.mode,
        easing=wanted.easing,
        loop=wanted.loop,
    )


def _check_size(order: WalkOrder, scale: int, settings: Settings) -> None:
    """Raise InvalidRequest for more frames, or more pixels in them, than one animation may have."""
    spec = order.model.manifest.image
    if order.frames > settings.max_frames:
        message = f"these key frames and steps make {order.frames} frames; {settings.max_frames} are allowed"
        raise InvalidRequest("the request is not valid", [FieldError("steps", message)])
    if order.frames * spec.height * spec.width * scale**2 > settings.max_animation_pixels:
        message = f"all frames together may have {settings.max_animation_pixels} pixels; ask for fewer, or smaller ones"
        raise InvalidRequest("the request is not valid", [FieldError("scale", message)])
