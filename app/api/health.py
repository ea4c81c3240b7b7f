"""`/livez`, `/readyz`, `/healthz`: what a supervisor asks; never behind a key."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api import openapi
from app.api.problems import NOT_LIVE, Problem
from app.api.request_scope import context_of
from app.api.service import Service, service_of

router = APIRouter(tags=["health"])

_UNCACHED = {"Cache-Control": "no-store"}


@router.get("/livez", **openapi.LIVEZ)
async def livez(request: Request) -> Response:
    """Live, unless a batcher has died: then nothing but a restart helps."""
    return _not_live(request) or JSONResponse({"status": "live"}, headers=_UNCACHED)


@router.get("/readyz", **openapi.READYZ)
async def readyz(request: Request) -> Response:
    """Ready, once every model is loaded and warmed, and until the service drains or a batcher dies."""
    return _not_live(request) or _ready(request)


@router.get("/healthz", **openapi.HEALTHZ)
async def healthz(request: Request) -> Response:
    """Live and ready in one."""
    return _not_live(request) or _ready(request)


def _not_live(request: Request) -> Response | None:
    if service_of(request).registry.alive:
        return None
    return Problem(NOT_LIVE, "a batcher has died").response(context_of(request).id)


def _ready(request: Request) -> Response:
    service = service_of(request)
    service.lifecycle.require_ready()
    return JSONResponse({"status": "ready", "models": _providers(service)}, headers=_UNCACHED)


def _providers(service: Service) -> list[dict[str, Any]]:
    return [{"model": model.label, "provider": model.provider} for model in service.registry.models()]
