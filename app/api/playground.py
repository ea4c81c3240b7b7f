"""`/`: the playground, a page that uses this service's own routes and no other host."""

import hashlib
from functools import cache
from importlib import resources
from typing import NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.errors import RouteNotFound

router = APIRouter(include_in_schema=False)

FILES = (
    "announcer.js",
    "application.js",
    "banner.js",
    "chips.js",
    "controls.css",
    "details.js",
    "dom.js",
    "finding.js",
    "frames.js",
    "gauge.js",
    "histogram.js",
    "inspector.css",
    "intake.js",
    "key_dialog.js",
    "latents.js",
    "mark.svg",
    "models.js",
    "neighbourhood.js",
    "orders.js",
    "points.js",
    "recipe.js",
    "roving.js",
    "scoring.js",
    "seeds.js",
    "service.js",
    "sheet.css",
    "sheet.js",
    "strip.js",
    "table.css",
    "view.js",
    "walk.css",
    "walk.js",
)
"""What `/playground/{name}` has; `index.html` is `/` itself."""

# Scripts and styles are files of this origin alone: nothing that ends up in the page can run.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# The files change with the service, under the same names: a browser asks each time, and mostly hears 304.
_HEADERS = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}


class _Page(NamedTuple):
    content: bytes
    media_type: str
    etag: str


@router.get("/")
async def page(request: Request) -> Response:
    """The page itself."""
    return _answer(request, "index.html")


@router.get("/playground/{name}")
async def asset(request: Request, name: str) -> Response:
    """A script, style or icon of the page."""
    if name not in FILES:
        raise RouteNotFound("there is nothing at this path")
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    found = _read(name)
    headers = {**_HEADERS, "ETag": found.etag}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if found.etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)


@cache
def _read(name: str) -> _Page:
    """A file of the package, which does not change while the service runs."""
    content = resources.files("app").joinpath("web", name).read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _Page(content, _TYPES[name.rpartition(".")[2]], etag)
