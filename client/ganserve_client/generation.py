"""Generated images, as POST /generate answers."""

from dataclasses import dataclass
from typing import Self

from ganserve_client.answer import Json, ModelRef, Timings, file_of, floats
from ganserve_client.options import ImageFormat


@dataclass(frozen=True)
class Image:
    """One image: its file, and what the service says of it.

    `seed` is None for an image made from a latent, `class_id` for a model without classes. `realness` is there when
    the discriminator judged the image, `accepted` and `attempts` under `min_realness`, `latent` when it was asked for.
    """

    index: int
    seed: int | None
    class_id: int | None
    width: int  # pixels
    height: int
    format: ImageFormat
    data: bytes  # the file; empty under layout="grid", whose one file is the grid's
    realness: float | None = None
    accepted: bool | None = None
    attempts: int | None = None
    latent: tuple[float, ...] | None = None

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read one of the answer's `images`."""
        return cls(
            index=body["index"],
            seed=body["seed"],
            class_id=body["class_id"],
            width=body["width"],
            height=body["height"],
            format=body["format"],
            data=file_of(body),
            realness=body.get("realness"),
            accepted=body.get("accepted"),
            attempts=body.get("attempts"),
            latent=floats(body.get("latent")),
        )


@dataclass(frozen=True)
class Grid:
    """The sheet of layout="grid": images row by row, without gaps, black where none is left."""

    columns: int
    rows: int
    width: int  # pixels
    height: int
    format: ImageFormat
    data: bytes

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read the answer's `grid`."""
        return cls(
            columns=body["columns"],
            rows=body["rows"],
            width=body["width"],
            height=body["height"],
            format=body["format"],
            data=file_of(body),
        )


@dataclass(frozen=True)
class Generation:
    """Generated images in the order in which they were asked for; `id` is the request's id."""

    id: str
    model: ModelRef
    images: tuple[Image, ...]
    grid: Grid | None
    timings_ms: Timings

    @property
    def files(self) -> list[bytes]:
        """The files alone: one per image, or the grid's."""
        return [image.data for image in self.images] if self.grid is None else [self.grid.data]

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read the answer."""
        return cls(
            id=body["id"],
            model=ModelRef.read(body["model"]),
            images=tuple(Image.read(item) for item in body["images"]),
            grid=None if body.get("grid") is None else Grid.read(body["grid"]),
            timings_ms=Timings.read(body["timings_ms"]),
        )
