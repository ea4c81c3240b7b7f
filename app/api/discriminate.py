"""`POST /discriminate`: how real uploaded images look to a model's discriminator."""

import base64
import binascii
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from app import imaging
from app.api import bodies, negotiation, openapi, strict_json
from app.api.answers import server_timing
from app.api.fields import spread
from app.api.multipart import read_parts
from app.api.request_scope import context_of, deadline_of
from app.api.schemas import DiscriminateRequest, ScoreOptions, validate
from app.api.service import Service, service_of
from app.api.texts import form_values
from app.api.watch import Watch
from app.discrimination import Discrimination, discriminate
from app.errors import DiscriminatorUnavailable, FieldError, InvalidRequest
from app.registry import LiveModel

router = APIRouter(tags=["realness"])

# Beside the images a form has room for model, class_id and include.
_OTHER_PARTS = 8


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
        return _Upload(wanted, [_unbase64(text, index) for index, text in enumerate(wanted.images)])
    parts = read_parts(raw, form_type, max_parts=max_images + _OTHER_PARTS)
    files = [part.data for part in parts if part.name == "images"]
    fields = [(part.name, part.data) for part in parts if part.name != "images"]
    if not 1 <= len(files) <= max_images:
        raise InvalidRequest(f"a form needs from 1 to {max_images} parts named images")
    return _Upload(validate(ScoreOptions, form_values(fields), max_images=max_images), files)


def _unbase64(text: str, index: int) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(
            "the request is not valid", [FieldError(f"images.{index}", "must be base64 without line breaks")]
        ) from None


async def _score(service: Service, request_id: str, model: LiveModel, upload: _Upload, deadline: float) -> Response:
    class_ids = spread(upload.options.class_id, len(upload.files))
    began = time.perf_counter()
    pixels, changes = await service.workers.run(_decode, upload.files, model, service.settings.max_pixels)
    decode_s = time.perf_counter() - began
    want_features = "features" in upload.options.include
    found = await discriminate(model, pixels, class_ids=class_ids, want_features=want_features, deadline=deadline)
    body = await service.workers.run(_document, request_id, model, found, changes)
    timing = f"decode;dur={decode_s * 1000:.3f}, {server_timing(found.queue_s, found.inference_s, 0.0)}"
    headers = {"Server-Timing": timing, "X-Model": model.label}
    return Response(body, media_type=negotiation.JSON, headers=headers)


def _decode(files: Sequence[bytes], model: LiveModel, max_pixels: int) -> tuple[NDArray[np.uint8], list[list[str]]]:
    """Every upload as the discriminator's own shape, uint8 [n, height, width, channels], and what was changed."""
    spec = model.manifest.image
    pixels = np.empty((len(files), spec.height, spec.width, spec.channels), dtype=np.uint8)
    changes: list[list[str]] = []
    for index, data in enumerate(files):
        image, opened = imaging.decode(data, max_pixels=max_pixels)
        pixels[index], fitted = imaging.fit(image, height=spec.height, width=spec.width, channels=spec.channels)
        changes.append(opened + fitted)
    return pixels, changes


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
