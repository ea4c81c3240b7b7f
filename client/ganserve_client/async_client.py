"""The client for event loops."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeVar, Unpack

import httpx

from ganserve_client import calls
from ganserve_client.animation import Animation
from ganserve_client.attempts import Clock
from ganserve_client.calls import Call
from ganserve_client.connection import connection
from ganserve_client.generation import Generation
from ganserve_client.inverses import Inverses
from ganserve_client.models import Models, ModelVersions
from ganserve_client.options import DrawOptions, File, GenerateOptions, InterpolateOptions, Listed, PictureFormat
from ganserve_client.scores import Scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


class AsyncClient:
    """A connection to a service, kept until `close` or the end of an `async with` block; tasks may share it.

    `timeout_s` is for a call with all its attempts, of which there are up to `retries` after the first; an answer
    that has begun to come may take longer. `transport` is for proxies and certificates, `sleep` and `clock` are for
    tests, and `sleep` for loops other than asyncio's. Every call may raise ApiError, Unreachable and
    UnexpectedAnswer; see `ganserve_client.errors`.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 3,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Clock = time.monotonic,
    ) -> None:
        self._connection = connection(base_url, api_key=api_key, timeout_s=timeout_s, retries=retries, clock=clock)
        self._http = httpx.AsyncClient(
            base_url=self._connection.base_url, headers=self._connection.headers, transport=transport
        )
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def generate(self, **options: Unpack[GenerateOptions]) -> Generation:
        """Images from exactly one of `seed`, `seeds`, `n` and `latents`, with their files."""
        return await self._call(calls.generate(options))

    async def array(self, **options: Unpack[DrawOptions]) -> "NDArray[np.uint8]":
        """The same images as pixels, uint8 [n, height, width, channels]. Raises ImportError without numpy."""
        return await self._call(calls.array(options))

    async def archive(self, **options: Unpack[GenerateOptions]) -> bytes:
        """The same images as a zip: a file per image, or the grid, and images.json."""
        return await self._call(calls.archive(options))

    async def image(
        self,
        seed: int,
        *,
        model: str | None = None,
        class_id: int | None = None,
        truncation: float | None = None,
        format: PictureFormat = "png",  # noqa: A002 -- the service's own name for it
    ) -> bytes:
        """The file of a seed's image; from its URL, which caches keep, where `model` is given."""
        return await self._call(
            calls.image(seed, model=model, class_id=class_id, truncation=truncation, image_format=format)
        )

    def image_url(
        self,
        seed: int,
        *,
        model: str,
        class_id: int | None = None,
        truncation: float | None = None,
        format: PictureFormat = "png",  # noqa: A002 -- as above
    ) -> str:
        """Where a seed's image is, for an <img> tag; it never changes when `model` names a version (name@version)."""
        path = calls.image_path(seed, model=model, class_id=class_id, truncation=truncation, image_format=format)
        return self._connection.base_url + path

    async def discriminate(
        self,
        images: File | Iterable[File],
        *,
        class_id: int | Sequence[int] | Listed | None = None,
        model: str | None = None,
        include: Sequence[Literal["features"]] = (),
    ) -> Scores:
        """How real images look: PNG, JPEG or WebP files, as bytes or paths, one or many."""
        return await self._call(calls.discriminate(images, class_id=class_id, model=model, include=include))

    async def invert(
        self,
        images: File | Iterable[File],
        *,
        class_id: int | Sequence[int] | Listed | None = None,
        model: str | None = None,
        budget: int | None = None,
        include: Sequence[Literal["image"]] = (),
    ) -> Inverses:
        """The latents whose images come nearest to files, given as for `discriminate`.

        `budget`, 0 to 2048, is how many candidates the search may look at for each image; None: what the service does.
        """
        return await self._call(calls.invert(images, class_id=class_id, model=model, budget=budget, include=include))

    async def interpolate(self, **options: Unpack[InterpolateOptions]) -> Animation:
        """A walk past the key frames that exactly one of `seeds`, `latents` and `n` names."""
        return await self._call(calls.interpolate(options))

    async def models(self) -> Models:
        """Every model version being served."""
        return await self._call(calls.models())

    async def model(self, name: str) -> ModelVersions:
        """The versions of a model, or the one version of name@version, each with its card."""
        return await self._call(calls.model(name))

    async def ready(self) -> bool:
        """Whether the service takes work now."""
        return await self._call(calls.probe("/readyz"))

    async def live(self) -> bool:
        """Whether the process is worth keeping; where nothing answers at all, Unreachable is raised."""
        return await self._call(calls.probe("/livez"))

    async def _call(self, call: Call[T]) -> T:
        attempts = self._connection.attempts(call)
        while True:
            try:
                response = await self._http.send(self._connection.request(self._http, call, attempts))
            except httpx.RequestError as failure:
                wait_s = attempts.wait_after_failure_s(failure)
            else:
                if call.takes(response):
                    return call.read(response)
                wait_s = attempts.wait_after_answer_s(response)
            await self._sleep(wait_s)
