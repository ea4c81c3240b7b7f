"""The OpenAPI page: what each route says of itself beside its code, and the document as a whole."""

from collections.abc import Collection, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from app import __version__
from app.api import examples, problems, responses
from app.api.json_schema import in_standard_words
from app.api.negotiation import NPY, PICTURES, ZIP
from app.api.schemas import DiscriminateRequest, GenerateRequest, InterpolateRequest, InvertRequest

_REF = "#/components/schemas/{model}"
_ANY_FILE = {"schema": {"type": "string", "format": "binary"}}
_DESCRIPTION = """\
Images from a generative adversarial network: the same seed, class and model make the same image, every time.

A model may come **without a discriminator**, or be served without it (`GANSERVE_DISCRIMINATOR=off`): then
`POST /discriminate`, `best_of`, `min_realness` and `include: [realness]` answer 404 `discriminator_unavailable`.
Without an **encoder** `POST /invert` answers 404 `encoder_unavailable`.

Every failure is an `application/problem+json` body (RFC 9457) whose `code` is stable.
Send `X-Request-Id` to name a request and `X-Request-Timeout-Ms` to shorten its deadline.
"""
_TAGS = [
    {"name": "images", "description": "Generated images."},
    {"name": "realness", "description": "The discriminator's verdict; optional, see above."},
    {"name": "inversion", "description": "From an image to its latent; optional, see above."},
    {"name": "models", "description": "What is served."},
    {"name": "health", "description": "For supervisors and Prometheus; probes are never behind a key."},
]
_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["images"],
    "properties": {
        "images": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1},
        "class_id": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "model": {"type": "string"},
        "include": {"type": "array", "items": {"type": "string", "enum": ["features"]}},
    },
}
_INVERT_FORM = {
    "type": "object",
    "required": ["images"],
    "properties": {
        **_FORM["properties"],
        "budget": {"type": "integer", "minimum": 0, "maximum": 2048},
        "include": {"type": "array", "items": {"type": "string", "enum": ["image"]}},
    },
}
_HEADERS = {
    "X-Request-Id": {"description": "The request's id.", "schema": {"type": "string"}},
    "X-Model": {"description": "name@version.", "schema": {"type": "string"}},
    "Server-Timing": {"description": "Milliseconds in queue, inference and encode.", "schema": {"type": "string"}},
}
_TIMEOUT = {
    "name": "X-Request-Timeout-Ms",
    "in": "header",
    "required": False,
    "description": "Shortens the deadline; past it the answer is 504 and queued work is not run.",
    "schema": {"type": "integer", "minimum": 1},
    "example": 5000,
}
_RETRY_AFTER = {"description": "Seconds after which to ask again.", "schema": {"type": "integer", "minimum": 1}}
_TITLES: Mapping[int, str] = {
    400: "invalid_json: not JSON, bad UTF-8, duplicate keys, or nested too deep",
    401: "unauthorized: no valid key, where keys are set",
    404: "no such model, or no discriminator or encoder",
    406: "not_acceptable: no representation that the client accepts",
    408: "request_timeout: the body did not arrive in time",
    413: "payload_too_large: the body, or an image's pixels, over the limit",
    415: "unsupported_media_type: the Content-Type, any Content-Encoding, or an upload that is no PNG, JPEG or WebP",
    422: "invalid_request (errors says what) or invalid_image",
    429: "rate_limited: Retry-After says when to come back",
    500: "model_error or internal_error: details are in the log alone",
    503: "not now; Retry-After says when to come back, except for not_live",
    504: "deadline_exceeded",
}
# What a request that carries a body and makes images can meet.
_WORK = (400, 401, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504)
# What a request meets that needs a network which the model has not.
_PARTS = ("discriminator_unavailable", "encoder_unavailable")
# What a request that asks nothing of a model never meets.
_IDLE = ("queue_full", "not_live")


def _problems(*statuses: int, without: Collection[str] = ()) -> dict[int | str, dict[str, Any]]:
    """The failures of an operation, `without` the codes that it never has."""
    return {status: _failure(status, without) for status in statuses}


def _failure(status: int, without: Collection[str]) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model="Problem")}
    content = {problems.MEDIA_TYPE: {"schema": schema, "examples": examples.failures(status, without=without)}}
    return {"description": _TITLES[status], "content": content} | (
        {"headers": {"Retry-After": _RETRY_AFTER}} if status in {429, 503} else {}
    )


def _body(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": dict(content)}, "parameters": [_TIMEOUT]}


GENERATE: dict[str, Any] = {
    "operation_id": "generate",
    "summary": "Generate images",
    "openapi_extra": _body(
        {
            "application/json": {
                "schema": {"$ref": _REF.format(model="GenerateRequest")},
                "examples": examples.GENERATE_REQUESTS,
            }
        }
    ),
    "responses": {
        200: {
            "model": responses.GenerateResponse,
            "description": "JSON, one picture (for one image or a grid), a zip, or a uint8 array [N,H,W,C].",
            "headers": {
                **_HEADERS,
                "X-Seed": {"description": "Seeds, in binary answers.", "schema": {"type": "string"}},
                "X-Accepted": {"description": "With min_realness, in binary answers.", "schema": {"type": "string"}},
            },
            "content": dict.fromkeys((*PICTURES, ZIP, NPY), _ANY_FILE),
        },
        **_problems(*_WORK, without=("not_found", "encoder_unavailable", "invalid_image", "not_live")),
    },
}
INTERPOLATE: dict[str, Any] = {
    "operation_id": "interpolate",
    "summary": "Walk from image to image",
    "openapi_extra": _body(
        {
            "application/json": {
                "schema": {"$ref": _REF.format(model="InterpolateRequest")},
                "examples": examples.INTERPOLATE_REQUESTS,
            }
        }
    ),
    "responses": {
        200: {
            "model": responses.InterpolateResponse,
            "description": "An animation, JSON that holds one, a zip of PNG frames, or a uint8 array [N,H,W,C].",
            "headers": {
                **_HEADERS,
                "X-Seed": {"description": "Seeds of the key frames.", "schema": {"type": "string"}},
                "X-Frames": {"description": "How many frames there are.", "schema": {"type": "integer"}},
            },
            "content": dict.fromkeys(("image/webp", "image/gif", "image/apng", ZIP, NPY), _ANY_FILE),
        },
        **_problems(
            *_WORK,
            without=("not_found", *_PARTS, "invalid_image", "not_live"),
        ),
    },
}
IMAGE: dict[str, Any] = {
    "operation_id": "getImage",
    "summary": "The image of a seed",
    "openapi_extra": {
        "parameters": [
            {
                "name": "class_id",
                "in": "query",
                "required": False,
                "description": "What to show; unset: a function of the seed.",
                "schema": {"type": "integer", "minimum": 0},
                "example": 7,
            },
            {
                "name": "truncation",
                "in": "query",
                "required": False,
                "description": "Truncation psi, 1 unless given.",
                "schema": {"type": "number", "minimum": 0, "maximum": 1},
                "example": 0.7,
            },
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "description": "The ETag of the file that the client has; 304 says that it still holds.",
                "schema": {"type": "string"},
                "example": '"0b9f8d4c2e6a4f1d8c7b5a3e9d2f1c40"',
            },
            _TIMEOUT,
        ]
    },
    "response_class": Response,
    "responses": {
        200: {
            "description": "The image.",
            "headers": {**_HEADERS, "ETag": {"description": "Strong.", "schema": {"type": "string"}}},
            "content": dict.fromkeys(PICTURES, _ANY_FILE),
        },
        304: {"description": "If-None-Match names this very image."},
        **_problems(
            401,
            404,
            422,
            429,
            500,
            503,
            504,
            without=(*_PARTS, "invalid_image", "not_live"),
        ),
    },
}
DISCRIMINATE: dict[str, Any] = {
    "operation_id": "discriminate",
    "summary": "Score images",
    "openapi_extra": _body(
        {
            "multipart/form-data": {"schema": _FORM},
            "application/json": {
                "schema": {"$ref": _REF.format(model="DiscriminateRequest")},
                "examples": examples.DISCRIMINATE_REQUESTS,
            },
        }
    ),
    "responses": {
        200: {"model": responses.DiscriminateResponse, "description": "One result per image, in order."},
        **_problems(*_WORK, without=("not_found", "encoder_unavailable", "not_live")),
    },
}
INVERT: dict[str, Any] = {
    "operation_id": "invert",
    "summary": "Find the latents of images",
    "openapi_extra": _body(
        {
            "multipart/form-data": {"schema": _INVERT_FORM},
            "application/json": {
                "schema": {"$ref": _REF.format(model="InvertRequest")},
                "examples": examples.INVERT_REQUESTS,
            },
        }
    ),
    "responses": {
        200: {"model": responses.InvertResponse, "description": "One result per image, in order."},
        **_problems(*_WORK, without=("not_found", "discriminator_unavailable", "not_live")),
    },
}
MODELS: dict[str, Any] = {
    "operation_id": "listModels",
    "summary": "Models being served",
    "responses": {200: {"model": responses.ModelsResponse}, **_problems(401, 429, 503, without=_IDLE)},
}
RELOAD: dict[str, Any] = {
    "operation_id": "reload",
    "summary": "Look for models that came or went",
    "openapi_extra": {"parameters": [_TIMEOUT]},
    "responses": {
        200: {"model": responses.ModelsResponse},
        **_problems(401, 408, 413, 422, 429, 503, 504, without=("invalid_image", *_IDLE)),
    },
}
MODEL: dict[str, Any] = {
    "operation_id": "getModel",
    "summary": "One model",
    "responses": {
        200: {"model": responses.ModelResponse},
        **_problems(401, 404, 429, 503, without=("not_found", *_PARTS, *_IDLE)),
    },
}
LIVEZ: dict[str, Any] = {
    "operation_id": "livez",
    "summary": "Liveness",
    "responses": {
        200: {"model": responses.LiveResponse},
        **_problems(503, without=("queue_full", "overloaded", "not_ready", "draining")),
    },
}
READYZ: dict[str, Any] = {
    "operation_id": "readyz",
    "summary": "Readiness",
    "responses": {
        200: {"model": responses.ReadyResponse},
        **_problems(503, without=("queue_full", "overloaded")),
    },
}
HEALTHZ: dict[str, Any] = READYZ | {"operation_id": "healthz", "summary": "Liveness and readiness"}
METRICS: dict[str, Any] = {
    "operation_id": "metrics",
    "summary": "Prometheus metrics",
    "response_class": Response,
    "responses": {
        200: {"description": "Prometheus text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **_problems(401),
    },
}


def document(app: FastAPI, *, with_keys: bool) -> dict[str, Any]:
    """The whole OpenAPI document; `with_keys` says that a key is asked for."""
    found = get_openapi(
        title="ganserve",
        version=__version__,
        summary="Images from generative adversarial networks",
        description=_DESCRIPTION,
        routes=app.routes,
        tags=_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    bodies = [
        (GenerateRequest, "validation"),
        (InterpolateRequest, "validation"),
        (DiscriminateRequest, "validation"),
        (InvertRequest, "validation"),
        (problems.ProblemBody, "validation"),
    ]
    _, schemas = models_json_schema(bodies, ref_template=_REF)  # type: ignore[arg-type]  # a Literal in a list
    components = found.setdefault("components", {})
    named = components.setdefault("schemas", {})
    named.update(schemas["$defs"])
    named["Problem"] = named.pop("ProblemBody")
    _without_framework_failures(found, named)
    components["schemas"] = in_standard_words(named)
    examples.complete(found)
    if with_keys:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        found["security"] = [{"bearer": []}, {"header": []}]
    return found


def _without_framework_failures(found: dict[str, Any], named: dict[str, Any]) -> None:
    """Take out the framework's own validation answers: here every failure is a Problem."""
    for unused in ("HTTPValidationError", "ValidationError"):
        named.pop(unused, None)
    for item in found["paths"].values():
        for operation in item.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
