"""A client that speaks to an app in the same process, through ASGI and nothing else."""

from collections.abc import AsyncIterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI

from app.api.service import Service

File = tuple[str, tuple[str | None, bytes]]
"""A part of a form: the field's name, then the file's name (None for a plain field) and its bytes."""


class AppClient:
    """Requests to a running app, made from an ordinary test; the app's event loop runs on a thread."""

    def __init__(self, app: FastAPI, portal: BlockingPortal) -> None:
        self.app = app
        self.portal = portal
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False, client=("203.0.113.7", 50000)),
            base_url="http://ganserve.test",
        )

    @property
    def service(self) -> Service:
        """What create_app wired together."""
        service: Service = self.app.state.service
        return service

    def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        content: bytes | AsyncIterable[bytes] | None = None,
        files: Sequence[File] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer to a request, its body read."""
        return self.portal.call(
            partial(self.asend, method, path, json=json, content=content, files=files, headers=headers)
        )

    async def asend(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        content: bytes | AsyncIterable[bytes] | None = None,
        files: Sequence[File] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The same from the app's own event loop, so that several requests can be under way."""
        return await self._http.request(
            method, path, json=json, content=content, files=files, headers=dict(headers or {})
        )

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """The answer to a GET."""
        return self.request("GET", path, headers=headers)

    def post(
        self,
        path: str,
        *,
        json: object = None,
        content: bytes | AsyncIterable[bytes] | None = None,
        files: Sequence[File] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer to a POST."""
        return self.request("POST", path, json=json, content=content, files=files, headers=headers)


@contextmanager
def running(app: FastAPI, *, wait: bool = True) -> Iterator[AppClient]:
    """A client of the started app; with `wait`, once its models are loaded."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(app.router.lifespan_context(app)):
        client = AppClient(app, portal)
        if wait:
            portal.call(client.service.lifecycle.until_loaded)
        yield client
