"""The field types of request bodies: strict about what a number is, and quick to refuse a long list."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PlainValidator, StringConstraints, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.errors import FieldError, InvalidRequest
from app.generation import LATENT_LIMIT
from bundle.latents import SEED_LIMIT


def whole_number(value: object) -> int:
    """An int from a JSON number without a fraction: 1 and 1.0 are, true, "1", 1.5 and NaN are not."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise PydanticCustomError("whole_number", "must be a whole number")


def number(value: object) -> float:
    """A finite float from a JSON number; true and "0.5" are none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        # An int of forty digits is still a float; an infinite one is 1e400, or Infinity spelt out.
        converted = float(value)
        if math.isfinite(converted):
            return converted
    raise PydanticCustomError("number", "must be a finite number")


def short_list(value: object, info: ValidationInfo) -> list[Any]:
    """The value itself, unless it is an empty list or one longer than a request may ask for.

    This runs before any item is looked at, so a list of a million items costs no more than one of ten.
    """
    if not isinstance(value, list):
        raise PydanticCustomError("list", "must be a list")
    if not value:
        raise PydanticCustomError("empty_list", "must not be empty")
    limit = image_limit(info)
    if len(value) > limit:
        raise PydanticCustomError("too_many", "may have at most {limit} items", {"limit": limit})
    return value


def image_limit(info: ValidationInfo) -> int:
    """How many images one request may name: the validation context's `max_images`."""
    context: dict[str, Any] = info.context or {}
    return int(context["max_images"])


def _count(value: object, info: ValidationInfo) -> int:
    found = whole_number(value)
    limit = image_limit(info)
    if not 1 <= found <= limit:
        raise PydanticCustomError("count", "must be from 1 to {limit}", {"limit": limit})
    return found


def _class_ids(value: object, info: ValidationInfo) -> int | Sequence[int]:
    if not isinstance(value, list):
        return _class_id(value)
    return [_class_id(item) for item in short_list(value, info)]


def _class_id(value: object) -> int:
    found = whole_number(value)
    if not 0 <= found < 2**31:
        raise PydanticCustomError("class_id", "must name a class of the model, counted from 0")
    return found


def _latents(value: object, info: ValidationInfo) -> NDArray[np.float32]:
    """Rows of equal length as float32 [n, length]; every value finite and at most LATENT_LIMIT from zero."""
    given = short_list(value, info)
    width = len(given[0]) if isinstance(given[0], list) else 0
    if width == 0 or not all(isinstance(row, list) and len(row) == width for row in given):
        raise PydanticCustomError("latents", "must be a list of rows of equal length")
    if not all(type(item) is float or type(item) is int for row in given for item in row):
        raise PydanticCustomError("latents", "must hold numbers alone")
    rows = np.array(given, dtype=np.float64)
    # NaN compares false with everything, so this refuses it too.
    if not (np.abs(rows) <= LATENT_LIMIT).all():
        raise PydanticCustomError("latents", "must hold finite numbers from -1000 to 1000")
    return rows.astype(np.float32)


def spread(class_id: int | Sequence[int] | None, count: int) -> Sequence[int] | None:
    """One class per image, from one for all or a list. Raises InvalidRequest for a list of another length."""
    if class_id is None or isinstance(class_id, int):
        return None if class_id is None else [class_id] * count
    if len(class_id) != count:
        raise InvalidRequest(
            "the request is not valid",
            [FieldError("class_id", "must be one number, or a list as long as the images")],
        )
    return class_id


Seed = Annotated[int, BeforeValidator(whole_number), Field(ge=0, lt=SEED_LIMIT)]
Seeds = Annotated[list[Seed], BeforeValidator(short_list)]
Count = Annotated[int, PlainValidator(_count), WithJsonSchema({"type": "integer", "minimum": 1})]
Whole = Annotated[int, BeforeValidator(whole_number)]
Number = Annotated[float, BeforeValidator(number)]
Text = Annotated[str, StringConstraints(strict=True, max_length=200)]
ClassIds = Annotated[
    int | Sequence[int],
    PlainValidator(_class_ids),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            ]
        }
    ),
]
Latents = Annotated[
    NDArray[np.float32],
    PlainValidator(_latents),
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "number", "minimum": -LATENT_LIMIT, "maximum": LATENT_LIMIT},
            },
        }
    ),
]
