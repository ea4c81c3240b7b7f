"""The short way to a route: the framework documents it, and the request reaches its endpoint as it came."""

from collections.abc import Awaitable, Callable, Iterable
from re import Pattern
from typing import cast

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[..., Awaitable[Response]]
"""Takes the Request, and the path's parameters by name, as text."""


class DirectMiddleware:
    """Calls the endpoints of `routes` itself; whatever matches none of them goes to the framework.

    The framework's own way there, which resolves dependencies that these endpoints do not have, takes longer than all
    the rest of a small request.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._fixed: dict[tuple[str, str], APIRoute] = {}
        self._patterns: list[tuple[str, Pattern[str], APIRoute]] = []
        for route in routes:
            if not isinstance(route, APIRoute):
                raise TypeError("a direct route is one of the framework's own")
            for method in route.methods or ():
                if route.param_convertors:
                    self._patterns.append((method, route.path_regex, route))
                else:
                    self._fixed[method, route.path] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        if scope["type"] != "http" or (found := self._find(scope["method"], scope["path"])) is None:
            await self._app(scope, receive, send)
            return
        route, parameters = found
        scope["route"] = route
        response = await cast(Endpoint, route.endpoint)(Request(scope, receive, send), **parameters)
        await response(scope, receive, send)

    def _find(self, method: str, path: str) -> tuple[APIRoute, dict[str, str]] | None:
        if (route := self._fixed.get((method, path))) is not None:
            return route, {}
        for its_method, pattern, route in self._patterns:
            if its_method == method and (match := pattern.match(path)):
                return route, match.groupdict()
        return None
