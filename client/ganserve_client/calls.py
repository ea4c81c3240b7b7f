"""Each route as a value: what to send, and how to read the answer; nothing here touches the network."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar
from urllib.parse import quote, urlencode

import httpx

from ganserve_client.animation import Animation
from ganserve_client.arrays import read_array, require_numpy
from ganserve_client.errors import UnexpectedAnswer
from ganserve_client.generation import Generation
from ganserve_client.inverses import Inverses
from ganserve_client.models import Models, ModelVersions
from ganserve_client.options import (
    DrawOptions,
    File,
    GenerateOptions,
    InterpolateOptions,
    Listed,
    PictureFormat,
)
from ganserve_client.scores import Scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
_EXTENSIONS: Mapping[PictureFormat, str] = {"png": "png", "jpeg": "jpg", "webp": "webp"}
# What an image URL has them in, so that both ways to an image lead to the same file.
_URL_QUALITY = 90


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request to one route and the reader of its answer.

    `repeatable` says that another try asks for the very same thing; `answers` are the statuses beside success that
    the reader takes.
    """

    method: str
    path: str
    reader: Callable[[httpx.Response], T]
    accept: str = "application/json"
    body: Mapping[str, object] | None = None
    form: Mapping[str, Sequence[str]] = field(default_factory=dict)
    files: Sequence[tuple[str, bytes]] = ()
    repeatable: bool = True
    answers: frozenset[int] = frozenset()

    def arguments(self) -> dict[str, Any]:
        """What httpx makes the body of. Raises TypeError or ValueError for what JSON cannot say."""
        if self.body is not None:
            content = json.dumps(self.body, default=_listed, allow_nan=False).encode()
            return {"content": content, "headers": {"Content-Type": "application/json"}}
        if self.files:
            return {"data": dict(self.form), "files": [("images", file) for file in self.files]}
        return {}

    def takes(self, response: httpx.Response) -> bool:
        """Whether the answer is one to read, rather than a failure."""
        return response.is_success or response.status_code in self.answers

    def read(self, response: httpx.Response) -> T:
        """The answer as its type. Raises UnexpectedAnswer for a body that is not what the service sends."""
        try:
            return self.reader(response)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            kind = response.headers.get("content-type", "no type")
            message = f"{response.request.url} answered with {kind} that cannot be read"
            raise UnexpectedAnswer(message, response.request.headers["X-Request-Id"]) from error


def generate(options: GenerateOptions) -> Call[Generation]:
    """POST /generate as JSON."""
    return _draw(options, "application/json", lambda response: Generation.read(response.json()))


def archive(options: GenerateOptions) -> Call[bytes]:
    """POST /generate as a zip."""
    return _draw(options, "application/zip", _content)


def array(options: DrawOptions) -> "Call[NDArray[np.uint8]]":
    """POST /generate as uint8 [n, height, width, channels]. Raises ImportError without numpy."""
    require_numpy()
    return _draw(options, "application/x-npy", lambda response: read_array(response.content))


def image(
    seed: int, *, model: str | None, class_id: int | None, truncation: float | None, image_format: PictureFormat
) -> Call[bytes]:
    """GET /images/... where a model is named; else the same file from POST /generate, which knows the default."""
    if model is None:
        options: GenerateOptions = {
            "seed": seed,
            "class_id": class_id,
            "truncation": truncation,
            "format": image_format,
            "quality": _URL_QUALITY,
        }
        return _draw(options, f"image/{image_format}", _content)
    path = image_path(seed, model=model, class_id=class_id, truncation=truncation, image_format=image_format)
    return Call("GET", path, _content, accept=f"image/{image_format}")


def image_path(
    seed: int, *, model: str, class_id: int | None, truncation: float | None, image_format: PictureFormat
) -> str:
    """The path and query of an image. Raises ValueError for a format that image URLs do not have."""
    if image_format not in _EXTENSIONS:
        raise ValueError(f"an image URL is for one of {', '.join(_EXTENSIONS)}")
    given = {"class_id": class_id, "truncation": truncation}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    path = f"/images/{quote(model, safe='@')}/{int(seed)}.{_EXTENSIONS[image_format]}"
    return f"{path}?{query}" if query else path


def discriminate(
    images: File | Iterable[File],
    *,
    class_id: int | Sequence[int] | Listed | None,
    model: str | None,
    include: Sequence[Literal["features"]],
) -> Call[Scores]:
    """POST /discriminate as a form. Raises OSError for a file that cannot be read, ValueError for no file at all."""
    fields = {"class_id": class_id, "model": model, "include": include}
    return _upload("/discriminate", lambda answer: Scores.read(answer.json()), images, fields)


def invert(
    images: File | Iterable[File],
    *,
    class_id: int | Sequence[int] | Listed | None,
    model: str | None,
    budget: int | None,
    include: Sequence[Literal["image"]],
) -> Call[Inverses]:
    """POST /invert as a form. Raises as `discriminate` does."""
    fields = {"class_id": class_id, "model": model, "budget": budget, "include": include}
    return _upload("/invert", lambda answer: Inverses.read(answer.json()), images, fields)


def interpolate(options: InterpolateOptions) -> Call[Animation]:
    """POST /interpolate as JSON."""
    body = _given(options)
    return Call(
        "POST", "/interpolate", lambda answer: Animation.read(answer.json()), body=body, repeatable="n" not in body
    )


def models() -> Call[Models]:
    """GET /models."""
    return Call("GET", "/models", lambda answer: Models.read(answer.json()))


def model(name: str) -> Call[ModelVersions]:
    """GET /models/{name}."""
    return Call("GET", f"/models/{quote(name, safe='@')}", lambda answer: ModelVersions.read(answer.json()))


def probe(path: Literal["/livez", "/readyz"]) -> Call[bool]:
    """Whether a health route says yes; its no is an answer too, and not one to ask for again."""
    return Call("GET", path, lambda answer: answer.is_success, answers=frozenset({503}))


def _draw(options: DrawOptions, accept: str, reader: Callable[[httpx.Response], T]) -> Call[T]:
    body = _given(options)
    # Fresh seeds are other seeds the next time; all else makes the same images again.
    return Call("POST", "/generate", reader, accept=accept, body=body, repeatable="n" not in body)


def _upload(
    path: str,
    reader: Callable[[httpx.Response], T],
    images: File | Iterable[File],
    fields: Mapping[str, int | str | Sequence[int] | Sequence[str] | Listed | None],
) -> Call[T]:
    one = isinstance(images, bytes | str) or hasattr(images, "__fspath__")
    files = [_part(file, index) for index, file in enumerate([images] if one else images)]  # type: ignore[arg-type]  # told apart above
    if not files:
        raise ValueError(f"{path} needs an image")
    form = {name: _texts(value) for name, value in fields.items() if value is not None}
    return Call("POST", path, reader, form=form, files=files)


def _texts(value: int | str | Sequence[int] | Sequence[str] | Listed) -> list[str]:
    """A field of a form, which comes once for each item of a list."""
    plain = value.tolist() if isinstance(value, Listed) else value
    if isinstance(plain, str) or not isinstance(plain, Sequence):
        return [str(plain)]
    return [str(item) for item in plain]


def _given(options: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _listed(value: object) -> object:
    """What JSON has no word for, as lists and numbers."""
    if isinstance(value, Listed):
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return list(value)
    raise TypeError(f"{type(value).__name__} is neither JSON nor a sequence, nor has it tolist()")


def _content(response: httpx.Response) -> bytes:
    return response.content


def _part(file: File, index: int) -> tuple[str, bytes]:
    if isinstance(file, bytes):
        return f"image-{index}", file
    path = Path(file)
    return path.name, path.read_bytes()
