"""The work itself, the same behind every peer: seeds -> z -> ONNX Runtime -> pixels -> files."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from bundle import Manifest, classes_of, read_bundle, sample_latents

Pixels = NDArray[np.uint8]
_MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "npy": "application/x-npy"}
_MOST_ROWS = 64
"""Rows in one run of the network, as many as the service takes by default."""


@dataclass(frozen=True)
class Order:
    """One request."""

    seeds: Sequence[int]
    image_format: str

    @classmethod
    def of(cls, body: dict[str, Any]) -> "Order":
        """Of a request's JSON."""
        return cls([int(seed) for seed in body["seeds"]], str(body.get("format", "png")))


@dataclass(frozen=True)
class Reply:
    """The body of an answer."""

    media_type: str
    body: bytes


class Work:
    """A generator that is loaded."""

    def __init__(
        self,
        bundle: Path,
        *,
        threads: int,
        provider: str = "CPUExecutionProvider",
        provider_options: Mapping[str, str] | None = None,
    ) -> None:
        found = read_bundle(bundle)
        self.manifest = found.manifest
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            found.generator, options, providers=[(provider, dict(provider_options or {}))]
        )
        self.run(self.inputs([0]))

    def inputs(self, seeds: Sequence[int]) -> dict[str, NDArray[Any]]:
        """What the network takes for some seeds."""
        return feed(self.manifest, seeds)

    def run(self, inputs: dict[str, NDArray[Any]]) -> Pixels:
        """uint8 [n, height, width, channels]."""
        pixels: Pixels = self.session.run(None, inputs)[0]
        return pixels

    def pixels(self, orders: Sequence[Order]) -> list[Pixels]:
        """The images of several requests, their seeds merged into runs of at most 64 rows."""
        seeds = [seed for order in orders for seed in order.seeds]
        runs = [self.run(self.inputs(seeds[at : at + _MOST_ROWS])) for at in range(0, len(seeds), _MOST_ROWS)]
        rows = runs[0] if len(runs) == 1 else np.concatenate(runs)
        ends = np.cumsum([len(order.seeds) for order in orders])
        return np.split(rows, ends[:-1])

    def replies(self, orders: Sequence[Order]) -> list[Reply]:
        """Requests to answers, in one go."""
        return [reply(rows, order.image_format) for rows, order in zip(self.pixels(orders), orders, strict=True)]


def feed(manifest: Manifest, seeds: Sequence[int]) -> dict[str, NDArray[Any]]:
    """z of each seed, its own class, and no truncation."""
    z = sample_latents(manifest.latent, seeds)
    inputs: dict[str, NDArray[Any]] = {"z": z}
    if manifest.classes is not None:
        inputs["class_id"] = classes_of(z, len(manifest.classes))
    if manifest.truncation.supported:
        inputs["truncation"] = np.ones(len(seeds), np.float32)
    return inputs


def encode(pixels: Pixels, image_format: str) -> bytes:
    """One picture, uint8 [height, width, 1 or 3], as peers' users write it: by Pillow, PNG at level 1."""
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    out = io.BytesIO()
    if image_format == "png":
        picture.save(out, "PNG", compress_level=1)
    else:
        picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def reply(rows: Pixels, image_format: str) -> Reply:
    """One picture as its file, several as JSON with base64, an array as it is."""
    if image_format == "npy":
        out = io.BytesIO()
        np.save(out, rows, allow_pickle=False)
        return Reply(_MEDIA_TYPES["npy"], out.getvalue())
    files = [encode(row, image_format) for row in rows]
    if len(files) == 1:
        return Reply(_MEDIA_TYPES[image_format], files[0])
    images = [{"data": base64.b64encode(data).decode()} for data in files]
    return Reply("application/json", json.dumps({"images": images}).encode())
