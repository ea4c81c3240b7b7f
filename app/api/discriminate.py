"""`POST /discriminate`: how real uploaded images look to a model's discriminator."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api import bodies, negotiation, openapi, strict_json, uploads
from app.api.answers import server_timing
from app.api.fields import spread
from app.api.request_scope import context_of, deadline_of
from app.api.schemas import DiscriminateRequest, ScoreOptions, validate
from app.api.service import Service, service_of
from app.api.watch import Watch
from app.discrimination import Discrimination, discriminate
from app.errors import DiscriminatorUnavailable
from app.registry import LiveModel

router = APIRouter(tags=["realness"])


@dataclass(frozen=True)
class _Upload:
    """A request in either of its forms: what it asks, and the files as they came."""

    options: ScoreOptions
    files: Sequence[bytes]


@router.post("/discriminate", **openapi.DISCRIMINATE)
async def post_discriminate(request: Request) -> Response:
    """Score images: logit, calibrated probability of being real, and features if asked for."""
    service = service_of(request)
    service.lifecycle.require_ready()
    settings = service.settings
    deadline = deadline_of(request, settings.request_timeout_s)
    kind = bodies.require_media_type(request, bodies.MULTIPART, bodies.JSON)
    with Watch(request, deadline) as watch:
        raw = await bodies.read_body(request, watch, limit_bytes=settings.max_body_bytes)
        content_type = request.headers["content-type"] if kind == bodies.MULTIPART else None
        upload = await service.workers.run(_parse, raw, content_type, settings.max_images_per_request)
        with service.registry.use(upload.options.model) as model:
            if model.discriminator is None:
                raise DiscriminatorUnavailable("this model is served without a discriminator")
            negotiation.negotiate(request.headers.get("accept"), (negotiation.JSON,))
            return await _score(service, context_of(request).id, model, upload, deadline)


def _parse(raw: bytes, form_type: str | None, max_images: int) -> _Upload:
    if form_type is None:
        wanted = validate(DiscriminateRequest, strict_json.parse(raw), max_images=max_images)
        return _Upload(wanted, uploads.of_base64(wanted.images))
    files, values = uploads.of_form(raw, form_type, max_images=max_images)
    return _Upload(validate(ScoreOptions, values, max_images=max_images), files)


async def _score(service: Service, request_id: str, model: LiveModel, upload: _Upload, deadline: float) -> Response:
    class_ids = spread(upload.options.class_id, len(upload.files))
    began = time.perf_counter()
    pixels, changes = await service.workers.run(uploads.fitted, upload.files, model, service.settings.max_pixels)
    decode_s = time.perf_counter() - began
    want_features = "features" in upload.options.include
    found = await discriminate(model, pixels, class_ids=class_ids, want_features=want_features, deadline=deadline)
    body = await service.workers.run(_document, request_id, model, found, changes)
    timing = f"decode;dur={decode_s * 1000:.3f}, {server_timing(found.queue_s, found.inference_s, 0.0)}"
    headers = {"Server-Timing": timing, "X-Model": model.label}
    return Response(body, media_type=negotiation.JSON, headers=headers)


def _document(request_id: str, model: LiveModel, found: Discrimination, changes: list[list[str]]) -> bytes:
    results: list[dict[str, Any]] = []
    for index, (score, changed) in enumerate(zip(found.scores, changes, strict=True)):
        result: dict[str, Any] = {"index": index, "logit": score.logit, "realness": score.realness, "changes": changed}
        if score.features is not None:
            result["features"] = score.features.tolist()
        results.append(result)
    return orjson.dumps(
        {
            "id": request_id,
            "model": {"name": model.name, "version": model.version, "digest": model.digest},
            "calibrated": found.calibrated,
            "results": results,
        }
    )
