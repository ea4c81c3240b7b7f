"""What is served, as GET /models and GET /models/{name} answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from ganserve_client.answer import Json, ModelRef


@dataclass(frozen=True)
class Latent:
    """z: how it is distributed, and its length."""

    distribution: Literal["normal", "uniform"]
    dim: int


@dataclass(frozen=True)
class ImageShape:
    """What a model draws, in pixels; one channel is grey, three are RGB."""

    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class Model(ModelRef):
    """A model version, as its manifest tells it.

    `truncation` says whether the model takes one; `card` is Markdown, and there in the answer of `model()` alone.
    """

    provider: str
    discriminator: bool
    encoder: bool
    calibration: Mapping[str, Any] | None
    latent: Latent
    image: ImageShape
    classes: tuple[str, ...] | None
    truncation: bool
    training: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    license: str
    created: str  # ISO 8601
    card: str | None = None

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read a version."""
        latent, image = body["latent"], body["image"]
        return cls(
            name=body["name"],
            version=body["version"],
            digest=body["digest"],
            provider=body["provider"],
            discriminator=body["discriminator"],
            encoder=body["encoder"],
            calibration=body["calibration"],
            latent=Latent(latent["distribution"], latent["dim"]),
            image=ImageShape(image["height"], image["width"], image["channels"]),
            classes=None if body["classes"] is None else tuple(body["classes"]),
            truncation=body["truncation"]["supported"],
            training=body["training"],
            metrics=body["metrics"],
            license=body["license"],
            created=body["created"],
            card=body.get("card"),
        )


@dataclass(frozen=True)
class LoadFailure:
    """A version that is not served as it lies in the repository; without a name it is the whole repository."""

    name: str | None
    version: int | None
    reason: str


@dataclass(frozen=True)
class Models:
    """Every version being served; `default`, name@version, is what a call without `model` gets."""

    default: str
    models: tuple[Model, ...]
    failed: tuple[LoadFailure, ...]

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read the answer."""
        return cls(
            default=body["default"],
            models=tuple(Model.read(item) for item in body["models"]),
            failed=tuple(LoadFailure(item["name"], item["version"], item["reason"]) for item in body["failed"]),
        )


@dataclass(frozen=True)
class ModelVersions:
    """The versions of one model; `default`, name@version, is what its bare name means."""

    name: str
    default: str
    versions: tuple[Model, ...]

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read the answer."""
        return cls(body["name"], body["default"], tuple(Model.read(item) for item in body["versions"]))
