"""Where `ganserve generate` has its images from: a bundle in this process, or a running service."""

import asyncio
import base64
import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import numpy as np

from app.errors import RequestError
from app.generation import GenerateOrder, generate
from app.imaging import Pixels
from app.registry import LiveModel

_TRIES = 6
_TIMEOUT_S = 120.0
_LONGEST_WAIT_S = 30.0


@dataclass(frozen=True)
class Wish:
    """What all images of a command have in common."""

    truncation: float | None
    best_of: int
    min_realness: float | None

    @property
    def selects(self) -> bool:
        """Whether the discriminator has a say."""
        return self.best_of > 1 or self.min_realness is not None


@dataclass(frozen=True)
class Drawn:
    """An image, the seed and class that it was really made from, and what D says of it where it was asked."""

    seed: int
    class_id: int | None
    realness: float | None
    accepted: bool
    pixels: Pixels


class Source(Protocol):
    """A model that images are made with."""

    @property
    def label(self) -> str:
        """name@version."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest."""
        ...

    @property
    def classes(self) -> Sequence[str] | None:
        """Names of the classes; None for a model without."""
        ...

    @property
    def truncates(self) -> bool:
        """Whether it takes a truncation."""
        ...

    async def make(self, seeds: Sequence[int], class_ids: Sequence[int] | None, wish: Wish) -> list[Drawn]:
        """An image for each seed. Raises ServeError for what the model cannot do."""
        ...


class LocalSource:
    """A model in this process."""

    def __init__(self, model: LiveModel) -> None:
        self._model = model
        self.label, self.digest = model.label, model.digest
        self.classes, self.truncates = model.manifest.classes, model.manifest.truncation.supported

    async def make(self, seeds: Sequence[int], class_ids: Sequence[int] | None, wish: Wish) -> list[Drawn]:
        """See Source."""
        order = GenerateOrder(self._model, seeds, None, class_ids, wish.truncation, wish.best_of, wish.min_realness)
        images = (await generate(order, deadline=None)).images
        return [
            Drawn(image.seed or 0, image.class_id, image.realness, image.accepted, image.pixels) for image in images
        ]


class RemoteSource:
    """A model of a service over HTTP; waits and asks again where the service has no room."""

    def __init__(self, url: str, model: str | None, key: str | None) -> None:
        """Ask the service for its model. Raises RequestError where there is none, or no service."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise RequestError("--url is the address of a service, such as http://localhost:8000")
        self._url, self._key = url.rstrip("/"), key
        if model is None:
            listed = self._ask("GET", "/models", None)
            model = str(listed["default"])
        told = self._ask("GET", f"/models/{quote(model)}", None)
        (found,) = (one for one in told["versions"] if f"{one['name']}@{one['version']}" == told["default"])
        self.label, self.digest = str(told["default"]), str(found["digest"])
        self.classes: Sequence[str] | None = found["classes"]
        self.truncates = bool(found["truncation"]["supported"])

    async def make(self, seeds: Sequence[int], class_ids: Sequence[int] | None, wish: Wish) -> list[Drawn]:
        """See Source."""
        body: dict[str, Any] = {"model": self.label, "seeds": list(seeds), "format": "npy", "best_of": wish.best_of}
        if class_ids is not None:
            body["class_id"] = list(class_ids)
        if wish.truncation is not None:
            body["truncation"] = wish.truncation
        if wish.min_realness is not None:
            body["min_realness"] = wish.min_realness
        answer = await asyncio.to_thread(self._ask, "POST", "/generate", body)
        return [
            Drawn(
                seed=int(record["seed"]),
                class_id=record["class_id"],
                realness=record.get("realness"),
                accepted=bool(record.get("accepted", True)),
                pixels=np.load(io.BytesIO(base64.b64decode(record["data"])), allow_pickle=False),
            )
            for record in answer["images"]
        ]

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(1, _TRIES + 1):
            request = urllib.request.Request(self._url + path, data, headers, method=method)  # noqa: S310 -- http alone
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 -- as above
                    found: dict[str, Any] = json.load(response)
                    return found
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in {429, 503} or attempt == _TRIES:
                        raise RequestError(_told(error)) from None
                    wait_s = _seconds(error.headers.get("Retry-After"))
            except (urllib.error.URLError, TimeoutError, OSError, ValueError) as error:
                reason = getattr(error, "reason", error)
                raise RequestError(f"{self._url}: {reason}") from None
            time.sleep(wait_s)
        raise AssertionError  # the last attempt returns or raises


def _told(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.load(error)
        details = "".join(f"; {item['location']}: {item['message']}" for item in problem.get("errors", ()))
        return f"the service says {error.code} {problem['code']}: {problem['detail']}{details}"
    except (ValueError, KeyError, TypeError):
        return f"the service says {error.code}"


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or 1.0), 0.1), _LONGEST_WAIT_S)
    except ValueError:
        return 1.0
