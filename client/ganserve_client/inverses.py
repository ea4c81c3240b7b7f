"""The latents that images come from, as POST /invert answers."""

from dataclasses import dataclass
from typing import Self

from ganserve_client.answer import Json, ModelRef, file_of


@dataclass(frozen=True)
class Inverse:
    """The latent, and the class, whose image comes nearest to one image.

    `error` is the mean squared difference from the image as it was made to fit (`changes`), of pixels in [0, 1];
    `error_before` is that of the encoder's guess, before `evaluations` candidates were looked at. `class_id` is None
    for a model without classes. `image`, what the latent makes, is a PNG, there when it was asked for.
    """

    index: int
    latent: tuple[float, ...]
    class_id: int | None
    error: float
    error_before: float
    evaluations: int
    changes: tuple[str, ...]
    image: bytes | None = None

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read one of the answer's `results`."""
        return cls(
            index=body["index"],
            latent=tuple(float(value) for value in body["latent"]),
            class_id=body["class_id"],
            error=float(body["error"]),
            error_before=float(body["error_before"]),
            evaluations=body["evaluations"],
            changes=tuple(body["changes"]),
            image=None if body.get("image") is None else file_of(body, "image"),
        )


@dataclass(frozen=True)
class Inverses:
    """An inverse per image, in order; `id` is the request's id."""

    id: str
    model: ModelRef
    results: tuple[Inverse, ...]

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read the answer."""
        return cls(
            id=body["id"],
            model=ModelRef.read(body["model"]),
            results=tuple(Inverse.read(item) for item in body["results"]),
        )
