"""Request bodies, and how a value becomes one of them."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from app.api.fields import ClassIds, Count, Latents, Number, Seed, Seeds, Text, Whole, short_list
from app.errors import FieldError, InvalidRequest

_MAX_FIELDS = 32


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class GenerateRequest(_Body):
    """What to draw, and how to hand it over. Exactly one of `seed`, `seeds`, `n` and `latents` is given."""

    seed: Seed | None = Field(None, description="One image, made from this seed.", examples=[42])
    seeds: Seeds | None = Field(None, description="One image per seed.", examples=[[1, 2, 3]])
    n: Count | None = Field(None, description="This many images from fresh seeds, which the answer names.")
    latents: Latents | None = Field(None, description="One image per row of z, each as long as the model's latent.")
    model: Text | None = Field(None, description='"name" or "name@version"; unset: the default model.')
    class_id: ClassIds | None = Field(
        None, description="One class for all images, or a list with one per image; unset: a function of the seed."
    )
    truncation: Annotated[Number, Field(ge=0, le=1)] | None = Field(
        None, description="Truncation psi: 1 (the default) is the model's full variety, 0 its most typical image."
    )
    format: Literal["png", "jpeg", "webp", "npy"] = Field("png", description="The files inside JSON and zip answers.")
    quality: Annotated[Whole, Field(ge=1, le=100)] = Field(90, description="Of JPEG and WebP.")
    layout: Literal["list", "grid"] = Field("list", description="`grid` lays all images out on one sheet.")
    best_of: Annotated[Whole, Field(ge=1, le=16)] = Field(
        1, description="Draw this many per image and keep the one that the discriminator finds most real."
    )
    min_realness: Annotated[Number, Field(ge=0, le=1)] | None = Field(
        None, description="Redraw until the discriminator's realness reaches this, or `max_attempts` is spent."
    )
    max_attempts: Annotated[Whole, Field(ge=1, le=64)] = Field(16, description="How often `min_realness` may draw.")
    include: Annotated[list[Literal["latents", "realness"]], Field(max_length=8)] = Field(
        default_factory=list, description="What to say of each image beside its pixels."
    )

    @model_validator(mode="after")
    def _one_way_to_name_images(self) -> Self:
        named = [self.seed, self.seeds, self.n, self.latents]
        if sum(way is not None for way in named) != 1:
            raise PydanticCustomError("source", "give exactly one of seed, seeds, n and latents")
        return self

    @property
    def image_count(self) -> int:
        """How many images the request asks for."""
        if self.seeds is not None:
            return len(self.seeds)
        if self.latents is not None:
            return len(self.latents)
        return 1 if self.n is None else self.n


class InterpolateRequest(_Body):
    """A walk past key frames. Exactly one of `seeds`, `latents` and `n` is given, and makes two or more of them."""

    seeds: Seeds | None = Field(None, description="A key frame per seed.", examples=[[1, 2, 3]])
    latents: Latents | None = Field(None, description="A key frame per row of z, each as long as the model's latent.")
    n: Count | None = Field(None, description="This many key frames from fresh seeds, which the answer names.")
    model: Text | None = Field(None, description='"name" or "name@version"; unset: the default model.')
    class_id: ClassIds | None = Field(
        None,
        description="One class for all frames, or a list with one per key frame, each taking over halfway; unset: "
        "that of each key frame.",
    )
    truncation: Annotated[Number, Field(ge=0, le=1)] | None = Field(None, description="Truncation psi, 1 unless given.")
    steps: Annotated[Whole, Field(ge=1, le=10_000)] = Field(30, description="Frames from one key frame to the next.")
    mode: Literal["slerp", "lerp"] | None = Field(
        None, description="Along the arc, or along the line; unset: the arc for normal latents, the line for uniform."
    )
    easing: Literal["linear", "smooth"] = Field("linear", description="`smooth` slows down at every key frame.")
    loop: StrictBool = Field(default=False, description="Lead back to the first key frame, and play for ever.")
    fps: Annotated[Number, Field(ge=1, le=50)] = Field(30.0, description="Frames a second of the animation.")
    format: Literal["webp", "gif", "apng"] = Field("webp", description="The animation when Accept leaves it open.")
    quality: Annotated[Whole, Field(ge=1, le=100)] = Field(90, description="Of WebP; 100 keeps every pixel.")
    scale: Annotated[Whole, Field(ge=1, le=16)] = Field(1, description="Enlarge every pixel to a square of this side.")

    @model_validator(mode="after")
    def _one_way_to_name_keys(self) -> Self:
        if sum(way is not None for way in (self.seeds, self.latents, self.n)) != 1:
            raise PydanticCustomError("source", "give exactly one of seeds, latents and n")
        return self

    @property
    def image_count(self) -> int:
        """How many key frames the request names."""
        if self.seeds is not None:
            return len(self.seeds)
        return len(self.latents) if self.latents is not None else self.n or 0


class ScoreOptions(_Body):
    """What may be said about images that are to be scored, however the images themselves arrive."""

    class_id: ClassIds | None = Field(
        None, description="What the images are meant to show: one class, or one per image; unset: not stated."
    )
    model: Text | None = Field(None, description='"name" or "name@version"; unset: the default model.')
    include: Annotated[list[Literal["features"]], Field(max_length=8)] = Field(
        default_factory=list, description="`features`: the discriminator's feature vector of each image."
    )


class InvertOptions(_Body):
    """What may be said about images that are to be inverted, however the images themselves arrive."""

    class_id: ClassIds | None = Field(
        None, description="The class to make the images with: one, or one per image; unset: the one that is found."
    )
    model: Text | None = Field(None, description='"name" or "name@version"; unset: the default model.')
    budget: Annotated[Whole, Field(ge=0, le=2048)] = Field(
        256, description="Candidates for each image that the search may look at; 0 leaves it at the encoder's guess."
    )
    include: Annotated[list[Literal["image"]], Field(max_length=8)] = Field(
        default_factory=list, description="`image`: what the generator makes of the latent, a PNG in base64."
    )


class InvertRequest(InvertOptions):
    """Images to invert, as base64 of PNG, JPEG or WebP files."""

    images: Annotated[list[Annotated[str, Field(strict=True, min_length=1)]], BeforeValidator(short_list)] = Field(
        description="Base64 of PNG, JPEG or WebP files."
    )


class DiscriminateRequest(ScoreOptions):
    """Images to score, as base64 of PNG, JPEG or WebP files."""

    images: Annotated[list[Annotated[str, Field(strict=True, min_length=1)]], BeforeValidator(short_list)] = Field(
        description="Base64 of PNG, JPEG or WebP files."
    )


class ImageQuery(_Body):
    """The query of an image URL."""

    class_id: Annotated[Whole, Field(ge=0, lt=2**31)] | None = None
    truncation: Annotated[Number, Field(ge=0, le=1)] | None = None


Body = TypeVar("Body", bound=_Body)


def validate(schema: type[Body], value: object, *, max_images: int) -> Body:
    """The value as a `schema`; `max_images` bounds every list in it.

    Raises InvalidRequest that names the fields and never repeats what was sent.
    """
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a JSON object")
    if len(value) > _MAX_FIELDS:
        raise InvalidRequest("the body has too many fields")
    try:
        return schema.model_validate(value, context={"max_images": max_images})
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        errors = tuple(_field_error(schema, item) for item in found[:10])
        raise InvalidRequest("the request is not valid", errors) from None


def _field_error(schema: type[BaseModel], found: Mapping[str, Any]) -> FieldError:
    if found["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(found["loc"][-1])[:40], schema.model_fields, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return FieldError("body", f"unknown field{hint}")
    return FieldError(".".join(str(part) for part in found["loc"]) or "body", str(found["msg"]))
