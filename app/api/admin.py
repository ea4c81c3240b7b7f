"""`POST /admin/reload`: for the operator; routed only where GANSERVE_ADMIN is on."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api import bodies, openapi
from app.api.models import listing
from app.api.request_scope import deadline_of
from app.api.service import service_of
from app.api.watch import Watch

router = APIRouter(tags=["models"])

_UNCACHED = {"Cache-Control": "no-store"}
# There is nothing to say in it.
_MAX_BODY_BYTES = 1024


@router.post("/admin/reload", **openapi.RELOAD)
async def post_reload(request: Request) -> Response:
    """Look at the model repository now, and tell what is served after it, as `GET /models` does.

    A look that outlasts the request's deadline goes on without it.
    """
    service = service_of(request)
    service.lifecycle.require_ready()
    deadline = deadline_of(request, service.settings.request_timeout_s)
    with Watch(request, deadline) as watch:
        await bodies.read_body(request, watch, limit_bytes=_MAX_BODY_BYTES)
        await service.reloader.reload()
    return JSONResponse(listing(service.registry.catalogue), headers=_UNCACHED)
