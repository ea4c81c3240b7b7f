"""Examples for the OpenAPI page: a request and an answer of every operation, and a body of every failure."""

from collections.abc import Collection, Mapping
from typing import Any

from app.api import problems

# Two by two pixels of grey.
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR42mNgCGVY9R8AA60B/3qThH8AAAAASUVORK5CYII="
_MODEL = {"name": "mnist", "version": 1, "digest": "5b1c6f0e" * 8}
_ID = "0b9f8d4c2e6a4f1d8c7b5a3e9d2f1c40"
_TIMINGS = {"queue": 0.02, "inference": 1.31, "encode": 0.18}
_PROVIDER = "CPUExecutionProvider"
_SCORES = {
    "real": [0.0] * 6 + [0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.13, 0.13, 0.12, 0.1, 0.06, 0.03, 0.0],
    "generated": [0.0, 0.03, 0.06, 0.1, 0.12, 0.13, 0.13, 0.12, 0.1, 0.08, 0.06, 0.04, 0.02, 0.01] + [0.0] * 6,
    "n": 5000,
}
_DESCRIBED: Mapping[str, Any] = {
    **_MODEL,
    "provider": _PROVIDER,
    "discriminator": True,
    "encoder": True,
    "calibration": {
        "method": "platt",
        "parameters": {"slope": 1.1, "intercept": -0.2},
        "expected_calibration_error": 0.02,
        "n": 10000,
        "scores": _SCORES,
    },
    "latent": {"distribution": "normal", "dim": 100, "sampler": "numpy.RandomState"},
    "image": {"height": 28, "width": 28, "channels": 1},
    "classes": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    "truncation": {"supported": True, "kind": "scale_z"},
    "training": {"preset": "mnist", "dataset": "mnist", "images_seen": 1200000, "seed": 0, "git_commit": None},
    "metrics": {"fid": {"value": 4.2, "n": 10000, "extractor": None, "floor": 0.8}},
    "license": "Apache-2.0",
    "created": "2026-01-01T00:00:00Z",
}
_LISTING = {"default": "mnist@1", "models": [_DESCRIBED], "failed": []}
_READY = {"status": "ready", "models": [{"model": "mnist@1", "provider": _PROVIDER}]}

GENERATE_REQUESTS: Mapping[str, Any] = {
    "one": {"summary": "One image of class 7", "value": {"seed": 42, "class_id": 7}},
    "fresh": {"summary": "Four fresh images", "value": {"n": 4}},
    "grid": {"summary": "A sheet of nine", "value": {"seeds": [1, 2, 3, 4, 5, 6, 7, 8, 9], "layout": "grid"}},
    "best": {"summary": "The most real of eight", "value": {"seed": 42, "best_of": 8, "include": ["realness"]}},
    "webp": {"summary": "Small files", "value": {"n": 2, "format": "webp", "quality": 70, "truncation": 0.7}},
}
INTERPOLATE_REQUESTS: Mapping[str, Any] = {
    "walk": {"summary": "From one image to another", "value": {"seeds": [1, 2], "class_id": 3}},
    "loop": {
        "summary": "A loop of four seconds, enlarged",
        "value": {"seeds": [1, 2, 3, 4], "steps": 30, "loop": True, "easing": "smooth", "scale": 4},
    },
    "gif": {"summary": "A GIF between fresh seeds", "value": {"n": 3, "format": "gif", "fps": 20}},
}
DISCRIMINATE_REQUESTS: Mapping[str, Any] = {
    "one": {"summary": "One image", "value": {"images": [_PNG]}},
    "claimed": {"summary": "Is it a seven?", "value": {"images": [_PNG], "class_id": 7, "include": ["features"]}},
}
INVERT_REQUESTS: Mapping[str, Any] = {
    "one": {"summary": "One image", "value": {"images": [_PNG]}},
    "quick": {
        "summary": "The encoder's guess, and its image",
        "value": {"images": [_PNG], "budget": 0, "include": ["image"]},
    },
}

_ANSWERS: Mapping[str, Any] = {
    "generate": {
        "id": _ID,
        "model": _MODEL,
        "images": [
            {"index": 0, "seed": 42, "class_id": 7, "format": "png", "width": 28, "height": 28, "data": _PNG},
        ],
        "timings_ms": _TIMINGS,
    },
    "interpolate": {
        "id": _ID,
        "model": _MODEL,
        "animation": {
            "format": "webp",
            "frames": 31,
            "width": 28,
            "height": 28,
            "fps": 30.0,
            "loop": False,
            "seeds": [1, 2],
            "data": "UklGRg==",
        },
        "timings_ms": _TIMINGS,
    },
    "discriminate": {
        "id": _ID,
        "model": _MODEL,
        "calibrated": True,
        "results": [{"index": 0, "logit": 0.93, "realness": 0.71, "changes": ["resized 2x2 to 28x28"]}],
    },
    "invert": {
        "id": _ID,
        "model": _MODEL,
        "results": [
            {
                "index": 0,
                "latent": [0.31, -1.2, 0.05],
                "class_id": 7,
                "error": 0.0054,
                "error_before": 0.021,
                "evaluations": 256,
                "changes": ["resized 2x2 to 28x28"],
            }
        ],
    },
    "listModels": _LISTING,
    "reload": _LISTING,
    "getModel": {"name": "mnist", "default": "mnist@1", "versions": [{**_DESCRIBED, "card": "# mnist 1\n"}]},
    "livez": {"status": "live"},
    "readyz": _READY,
    "healthz": _READY,
    "metrics": "# TYPE gan_ready gauge\ngan_ready 1.0\n",
}
# What the framework says of a path's parameters is that they are text.
_PARAMETERS: Mapping[tuple[str, str], Any] = {
    ("getImage", "model"): {"description": '"name" or "name@version".', "example": "mnist@1"},
    ("getImage", "seed"): {
        "description": "In its one plain form, without leading zeros.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
        "example": 42,
    },
    ("getImage", "ext"): {
        "description": "The format of the file.",
        "schema": {"type": "string", "enum": ["png", "jpg", "webp"]},
        "example": "png",
    },
    ("getModel", "name"): {"description": '"name" or "name@version".', "example": "mnist"},
}


def failures(status: int, *, without: Collection[str]) -> dict[str, Any]:
    """A problem body for each code of a status but those `without` which it goes."""
    rows = {row.code: row for row in (*problems.TABLE.values(), problems.INTERNAL, problems.NOT_LIVE)}
    return {
        row.code: {"summary": row.title, "value": _problem(row)}
        for row in rows.values()
        if row.status == status and row.code not in without
    }


def complete(document: dict[str, Any]) -> None:
    """Put the example of each operation's answer, and what a path's parameters are, into an OpenAPI document."""
    for item in document["paths"].values():
        for operation in item.values():
            name = operation["operationId"]
            if name in _ANSWERS:
                content = operation["responses"]["200"]["content"]
                kind = "application/json" if "application/json" in content else "text/plain"
                content[kind]["example"] = _ANSWERS[name]
            for parameter in operation.get("parameters", ()):
                parameter.update(_PARAMETERS.get((name, parameter["name"]), {}))


def _problem(row: problems.Row) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": f"urn:ganserve:error:{row.code}",
        "title": row.title,
        "status": row.status,
        "detail": row.title.lower(),
        "code": row.code,
        "request_id": _ID,
    }
    if row.code == "invalid_request":
        body["errors"] = [{"location": "seed", "message": "must be a whole number"}]
    return body
