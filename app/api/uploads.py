"""Uploaded images: their bytes out of a form or out of JSON, and their pixels as a model's networks take them."""

import base64
import binascii
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app import imaging
from app.api.multipart import read_parts
from app.api.texts import form_values
from app.errors import FieldError, InvalidRequest
from app.registry import LiveModel

# Beside the images a form has room for model, class_id, include and the like.
_OTHER_PARTS = 8


def of_form(raw: bytes, content_type: str, *, max_images: int) -> tuple[list[bytes], dict[str, object]]:
    """The files of a form, and its fields as JSON would have had them. Raises InvalidRequest."""
    parts = read_parts(raw, content_type, max_parts=max_images + _OTHER_PARTS)
    files = [part.data for part in parts if part.name == "images"]
    fields = [(part.name, part.data) for part in parts if part.name != "images"]
    if not 1 <= len(files) <= max_images:
        raise InvalidRequest(f"a form needs from 1 to {max_images} parts named images")
    return files, form_values(fields)


def of_base64(texts: Sequence[str]) -> list[bytes]:
    """The files of a JSON body. Raises InvalidRequest for what is not base64."""
    return [_unbase64(text, index) for index, text in enumerate(texts)]


def _unbase64(text: str, index: int) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(
            "the request is not valid", [FieldError(f"images.{index}", "must be base64 without line breaks")]
        ) from None


def fitted(files: Sequence[bytes], model: LiveModel, max_pixels: int) -> tuple[NDArray[np.uint8], list[list[str]]]:
    """Every upload in the model's own shape, uint8 [n, height, width, channels], and what was changed.

    Raises as imaging.decode does.
    """
    spec = model.manifest.image
    pixels = np.empty((len(files), spec.height, spec.width, spec.channels), dtype=np.uint8)
    changes: list[list[str]] = []
    for index, data in enumerate(files):
        image, opened = imaging.decode(data, max_pixels=max_pixels)
        pixels[index], made_to_fit = imaging.fit(image, height=spec.height, width=spec.width, channels=spec.channels)
        changes.append(opened + made_to_fit)
    return pixels, changes
