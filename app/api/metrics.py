"""`GET /metrics`: the Prometheus exposition on the service's port."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from app.api import openapi
from app.api.service import service_of

router = APIRouter(tags=["health"])


@router.get("/metrics", **openapi.METRICS)
def get_metrics(request: Request) -> Response:
    """Every series, in the Prometheus text format."""
    body = generate_latest(service_of(request).metrics.registry)
    return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})
