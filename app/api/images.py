"""`GET /images/{model}/{seed}.{ext}`: one image for an <img> tag or a CDN."""

import hashlib
import re
from collections.abc import Mapping

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api import openapi
from app.api.answers import server_timing
from app.api.files import FileKind, cached_files, count_files, make_files
from app.api.request_scope import deadline_of
from app.api.schemas import ImageQuery, validate
from app.api.service import Service, service_of
from app.api.texts import query_values
from app.api.watch import Watch
from app.errors import FieldError, InvalidRequest, RouteNotFound
from app.generation import GenerateOrder
from app.imaging import PictureFormat, encoder_of
from app.registry import LiveModel
from bundle.latents import SEED_LIMIT

router = APIRouter(tags=["images"])

_FORMATS: Mapping[str, PictureFormat] = {"png": "png", "jpg": "jpeg", "webp": "webp"}
_QUALITY = 90
_SEED = re.compile(r"0|[1-9][0-9]{0,9}")
_FOR_EVER = "public, max-age=31536000, immutable"


@router.get("/images/{model}/{seed}.{ext}", **openapi.IMAGE)
async def get_image(request: Request, model: str, seed: str, ext: str) -> Response:
    """The image of a seed, as `POST /generate` makes it; cacheable for ever when the URL names the version."""
    service = service_of(request)
    if ext not in _FORMATS:
        raise RouteNotFound("an image ends in .png, .jpg or .webp")
    service.lifecycle.require_ready()
    deadline = deadline_of(request, service.settings.request_timeout_s)
    number = _seed(seed)
    query = validate(ImageQuery, query_values(request.query_params.multi_items()), max_images=1)
    with service.registry.use(model) as live:
        etag = _etag(live, number, query, _FORMATS[ext], service.settings.png_level)
        headers = {
            "ETag": etag,
            "Cache-Control": _FOR_EVER if "@" in model else "public, no-cache",
            "X-Model": live.label,
            "X-Seed": str(number),
        }
        if _matches(request.headers.getlist("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        order = GenerateOrder(
            model=live,
            seeds=[number],
            latents=None,
            class_ids=None if query.class_id is None else [query.class_id],
            truncation=query.truncation,
        )
        with Watch(request, deadline, has_body=False):
            response = await _make(service, order, _FORMATS[ext], deadline)
        response.headers.update(headers)
        return response


async def _make(service: Service, order: GenerateOrder, image_format: PictureFormat, deadline: float) -> Response:
    truncation = None
    if order.model.manifest.truncation.supported:
        truncation = 1.0 if order.truncation is None else order.truncation
    kind = FileKind(image_format, _QUALITY, truncation, service.settings.png_level)
    if service.cache is None:
        files = await make_files(service, order, kind, deadline)
    else:
        files = await cached_files(service, service.cache, order, kind, deadline)
    count_files(service, order.model, files)
    timing = server_timing(files.queue_s, files.inference_s, files.encode_s, hit=files.made == 0)
    return Response(files.images[0].data, media_type=f"image/{image_format}", headers={"Server-Timing": timing})


def _seed(text: str) -> int:
    """A seed in its one decimal spelling, so that an image has one URL."""
    if _SEED.fullmatch(text) and int(text) < SEED_LIMIT:
        return int(text)
    raise InvalidRequest(
        "the request is not valid", [FieldError("seed", f"must be a whole number from 0 to {SEED_LIMIT - 1}")]
    )


def _etag(model: LiveModel, seed: int, query: ImageQuery, image_format: PictureFormat, png_level: int) -> str:
    """A strong validator from all that the bytes depend on, so that a match costs no inference.

    That is the bundle, the provider (which rounds in its own way), the request, and the encoder.
    """
    degree = png_level if image_format == "png" else _QUALITY
    encoder = encoder_of(image_format)
    parts = (model.digest, model.provider, seed, query.class_id, query.truncation, image_format, encoder, degree)
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'


def _matches(headers: list[str], etag: str) -> bool:
    """Whether If-None-Match names the entity; the comparison is the weak one (RFC 9110, section 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for header in headers for tag in header.split(",")]
    return "*" in tags or etag in tags
