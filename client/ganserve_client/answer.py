"""What every answer in JSON says of itself."""

import base64
from dataclasses import dataclass
from typing import Any, Self

Json = Any
"""A value out of a JSON document; reading one that is not as expected raises LookupError, TypeError or ValueError."""


@dataclass(frozen=True)
class ModelRef:
    """The model version that did the work; `digest` is the SHA-256 of its manifest."""

    name: str
    version: int
    digest: str

    @property
    def label(self) -> str:
        """name@version, which names this very version wherever a model is asked for."""
        return f"{self.name}@{self.version}"

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read the answer's `model`."""
        return cls(name=body["name"], version=body["version"], digest=body["digest"])


@dataclass(frozen=True)
class Timings:
    """Milliseconds that the service spent in the queue, in the networks, and in encoding."""

    queue: float
    inference: float
    encode: float

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read the answer's `timings_ms`."""
        return cls(queue=body["queue"], inference=body["inference"], encode=body["encode"])


def file_of(body: Json, name: str = "data") -> bytes:
    """The file that a record holds as base64 under `name`; empty where it holds none."""
    text = body.get(name)
    return b"" if text is None else base64.b64decode(text, validate=True)


def floats(values: Json) -> tuple[float, ...] | None:
    """A list of numbers; None where there is none."""
    return None if values is None else tuple(float(value) for value in values)
