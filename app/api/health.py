"""`/livez`, `/readyz`, `/healthz`: what a supervisor asks; never behind a key."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api import openapi
from app.api.problems import Problem, Row
from app.api.request_scope import context_of
from app.api.service import Service, service_of

router = APIRouter(tags=["health"])

_NOT_LIVE = Row(503, "not_live", "The service has to be restarted")
_UNCACHED = {"Cache-Control": "no-store"}


@router.get("/livez", **openapi.LIVEZ)
async def livez(request: Request) -> Response:
    """Live, unless a batcher has died: then nothing but a restart helps."""
    service = service_of(request)
    if not service.registry.alive:
        return Problem(_NOT_LIVE, "a batcher has died").response(context_of(request).id)
    return JSONResponse({"status": "live"}, headers=_UNCACHED)


@router.get("/readyz", **openapi.READYZ)
async def readyz(request: Request) -> Response:
    """Ready, once every model is loaded and warmed, and until the service drains."""
    return _ready(request)


@router.get("/healthz", **openapi.HEALTHZ)
async def healthz(request: Request) -> Response:
    """Live and ready in one."""
    service = service_of(request)
    if not service.registry.alive:
        return Problem(_NOT_LIVE, "a batcher has died").response(context_of(request).id)
    return _ready(request)


def _ready(request: Request) -> Response:
    service = service_of(request)
    service.lifecycle.require_ready()
    return JSONResponse({"status": "ready", "models": _providers(service)}, headers=_UNCACHED)


def _providers(service: Service) -> list[dict[str, Any]]:
    return [{"model": model.label, "provider": model.provider} for model in service.registry.models()]
