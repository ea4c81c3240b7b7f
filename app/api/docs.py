"""`/docs`: the API reference in the browser, with no host but this one."""

from importlib import resources

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from app.errors import RouteNotFound

router = APIRouter(include_in_schema=False)
way_in = APIRouter(include_in_schema=False)
"""`/` where there is no playground."""

# The page may load and call this origin alone. Swagger UI draws with style attributes and data: icons.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ganserve API</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/assets/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/assets/start.js"></script>
</body>
</html>
"""
_START = """"use strict";
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
_PACKAGED = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}


@way_in.get("/")
async def home() -> Response:
    """The way in for a browser."""
    return RedirectResponse("docs", 307)


@router.get("/docs")
async def page() -> Response:
    """The reference itself; it reads `/openapi.json`."""
    return Response(_PAGE, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _POLICY})


@router.get("/openapi.json")
def reference(request: Request) -> Response:
    """The OpenAPI document; made once, off the event loop."""
    return JSONResponse(request.app.openapi())


@router.get("/docs/assets/{name}")
def asset(name: str) -> Response:
    """A script, style or icon of the page; Swagger UI's own come from an installed package."""
    if name == "start.js":
        return Response(_START, media_type="text/javascript; charset=utf-8", headers={"Cache-Control": "no-cache"})
    if name not in _PACKAGED:
        raise RouteNotFound("there is nothing at this path")
    data = resources.files("fastapi_swagger.resources").joinpath(name).read_bytes()
    return Response(data, media_type=_PACKAGED[name], headers={"Cache-Control": "public, max-age=86400"})
