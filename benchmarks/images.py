"""The images in an answer, decoded, so that systems can be held to making the same ones."""

import base64
import io
import json

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.orders import Format


def pixels_of(body: bytes, image_format: Format, images: int) -> NDArray[np.uint8]:
    """uint8 [images, height, width, channels] of a generate answer.

    Raises ValueError for a body that holds something else.
    """
    if image_format == "npy":
        array = np.load(io.BytesIO(body), allow_pickle=False)
        if array.dtype != np.uint8 or array.ndim != 4 or len(array) != images:
            raise ValueError(f"an array of {array.dtype}{list(array.shape)} was answered")
        return np.asarray(array)
    files = [body] if images == 1 else [base64.b64decode(one["data"]) for one in json.loads(body)["images"]]
    if len(files) != images:
        raise ValueError(f"{len(files)} images were answered instead of {images}")
    rows = []
    for data in files:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.format != image_format.upper():
                raise ValueError(f"{picture.format} was answered")
            row = np.asarray(picture)
        rows.append(row[:, :, None] if row.ndim == 2 else row)
    return np.stack(rows)


def most_apart(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    """The largest difference of two pixels in grey levels. Raises ValueError when the shapes differ."""
    if first.shape != second.shape:
        raise ValueError(f"images of {list(first.shape)} and {list(second.shape)}")
    return int(np.abs(first.astype(np.int16) - second.astype(np.int16)).max(initial=0))
