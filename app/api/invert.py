"""`POST /invert`: the latents whose images come nearest to uploaded ones."""

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app import imaging
from app.api import bodies, negotiation, openapi, strict_json, uploads
from app.api.answers import server_timing
from app.api.fields import spread
from app.api.request_scope import context_of, deadline_of
from app.api.schemas import InvertOptions, InvertRequest, validate
from app.api.service import Service, service_of
from app.api.watch import Watch
from app.errors import EncoderUnavailable, FieldError, InvalidRequest
from app.inversion import Inverse, Inversion, invert
from app.registry import LiveModel

router = APIRouter(tags=["inversion"])


@dataclass(frozen=True)
class _Upload:
    """A request in either of its forms: what it asks, and the files as they came."""

    options: InvertOptions
    files: Sequence[bytes]


@router.post("/invert", **openapi.INVERT)
async def post_invert(request: Request) -> Response:
    """Find the latent, and the class, whose image comes nearest to each upload."""
    service = service_of(request)
    service.lifecycle.require_ready()
    settings = service.settings
    deadline = deadline_of(request, settings.request_timeout_s)
    kind = bodies.require_media_type(request, bodies.MULTIPART, bodies.JSON)
    with Watch(request, deadline) as watch:
        raw = await bodies.read_body(request, watch, limit_bytes=settings.max_body_bytes)
        content_type = request.headers["content-type"] if kind == bodies.MULTIPART else None
        upload = await service.workers.run(_parse, raw, content_type, settings.max_images_per_request)
        _check_size(upload, settings.max_inversion_evaluations)
        with service.registry.use(upload.options.model) as model:
            if model.encoder is None:
                raise EncoderUnavailable("this model has no encoder")
            negotiation.negotiate(request.headers.get("accept"), (negotiation.JSON,))
            return await _invert(service, context_of(request).id, model, upload, deadline)


def _parse(raw: bytes, form_type: str | None, max_images: int) -> _Upload:
    if form_type is None:
        wanted = validate(InvertRequest, strict_json.parse(raw), max_images=max_images)
        return _Upload(wanted, uploads.of_base64(wanted.images))
    files, values = uploads.of_form(raw, form_type, max_images=max_images)
    return _Upload(validate(InvertOptions, values, max_images=max_images), files)


def _check_size(upload: _Upload, most: int) -> None:
    """Raise InvalidRequest where all images together may cost more than `most` candidates."""
    if len(upload.files) * upload.options.budget > most:
        message = f"times the number of images may be at most {most}"
        raise InvalidRequest("the request is not valid", [FieldError("budget", message)])


async def _invert(service: Service, request_id: str, model: LiveModel, upload: _Upload, deadline: float) -> Response:
    options = upload.options
    class_ids = spread(options.class_id, len(upload.files))
    began = time.perf_counter()
    pixels, changes = await service.workers.run(uploads.fitted, upload.files, model, service.settings.max_pixels)
    decoded = time.perf_counter()
    found = await invert(model, pixels, class_ids=class_ids, budget=options.budget, deadline=deadline)
    png_level = service.settings.png_level if "image" in options.include else None
    encoding = time.perf_counter()
    body = await service.workers.run(partial(_document, request_id, model, found, changes, png_level=png_level))
    encode_s = time.perf_counter() - encoding
    timing = f"decode;dur={(decoded - began) * 1000:.3f}, {server_timing(found.queue_s, found.inference_s, encode_s)}"
    headers = {"Server-Timing": timing, "X-Model": model.label}
    return Response(body, media_type=negotiation.JSON, headers=headers)


def _document(
    request_id: str, model: LiveModel, found: Inversion, changes: list[list[str]], *, png_level: int | None
) -> bytes:
    results = [
        result_of(index, inverse, changed, png_level=png_level)
        for index, (inverse, changed) in enumerate(zip(found.inverses, changes, strict=True))
    ]
    return orjson.dumps(
        {
            "id": request_id,
            "model": {"name": model.name, "version": model.version, "digest": model.digest},
            "results": results,
        }
    )


def result_of(index: int, inverse: Inverse, changes: Sequence[str], *, png_level: int | None) -> dict[str, Any]:
    """One of the answer's `results`; `png_level` is None where its image was not asked for."""
    result: dict[str, Any] = {
        "index": index,
        "latent": inverse.latent.tolist(),
        "class_id": inverse.class_id,
        "error": inverse.error,
        "error_before": inverse.error_before,
        "evaluations": inverse.evaluations,
        "changes": changes,
    }
    if png_level is not None:
        picture = imaging.encode(inverse.pixels, "png", quality=90, png_level=png_level)
        result["image"] = base64.b64encode(picture).decode("ascii")
    return result
