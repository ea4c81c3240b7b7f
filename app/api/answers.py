"""Generated images -> the bytes of an answer: JSON, a picture, a zip or an array."""

import base64
import io
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import orjson

from app import imaging
from app.api import negotiation
from app.cache import EncodedImage
from app.generation import GeneratedImage, Generation
from app.imaging import ImageFormat, PictureFormat
from app.registry import LiveModel

_EXTENSIONS: Mapping[ImageFormat, str] = {"png": "png", "jpeg": "jpg", "webp": "webp", "npy": "npy"}
_MAX_HEADER_CHARS = 4096


@dataclass(frozen=True)
class Presentation:
    """How a client wants its images: the media type negotiated, and what the request says of files.

    `truncation` is None where the model has none; `judged` says that `min_realness` was asked for.
    """

    media_type: str
    image_format: ImageFormat
    quality: int
    as_grid: bool
    with_latents: bool
    truncation: float | None
    judged: bool
    png_level: int = 1


@dataclass(frozen=True)
class Answer:
    """A body with its media type and headers; `encode_s` is the time it took to make."""

    body: bytes
    media_type: str
    headers: Mapping[str, str]
    encode_s: float


def compose(request_id: str, model: LiveModel, generation: Generation, how: Presentation) -> Answer:
    """Encode `generation` as `how` says; computes, so it belongs on a worker thread."""
    began = time.perf_counter()
    images = generation.images
    match how.media_type:
        case negotiation.JSON:
            records = _records(images, model, how)
            if how.as_grid:
                sheet = _file(images, model, how, how.image_format)
                extra = {"grid": _grid_record(images, how) | {"data": base64.b64encode(sheet).decode()}}
            else:
                extra = {}
                for record, image in zip(records, images, strict=True):
                    record["data"] = base64.b64encode(_file([image], model, how, how.image_format)).decode()
            encode_s = time.perf_counter() - began
            timings_ms = timings_ms_of(generation.queue_s, generation.inference_s, encode_s)
            body = orjson.dumps(_document(request_id, model, records, timings_ms) | extra)
        case negotiation.ZIP:
            body = _archive(request_id, model, generation, how, began)
            encode_s = time.perf_counter() - began
        case negotiation.NPY:
            body = imaging.encode_npy(np.stack([imaging.grid(_pixels(images))] if how.as_grid else _pixels(images)))
            encode_s = time.perf_counter() - began
        case picture:
            body = _file(images, model, how, cast(PictureFormat, picture.removeprefix("image/")))
            encode_s = time.perf_counter() - began
    timing = server_timing(generation.queue_s, generation.inference_s, encode_s)
    seeds = [image.seed for image in images if image.seed is not None]
    accepted = [image.accepted for image in images]
    return Answer(body, how.media_type, _headers(model, how, timing, seeds, accepted), encode_s)


def compose_files(
    request_id: str,
    model: LiveModel,
    seeds: Sequence[int],
    files: Sequence[EncodedImage],
    how: Presentation,
    *,
    timings_s: tuple[float, float, float],
    hit: bool,
) -> Answer:
    """The answer that `compose` makes, from a file per seed: JSON or a zip of a list, or the picture of one image.

    `timings_s` are the seconds in the queue, in the networks and in encoding; `hit` says that nothing was made.
    """
    queue_s, inference_s, encode_s = timings_s
    records = [
        _record(index, seed, file.class_id, model, how)
        for index, (seed, file) in enumerate(zip(seeds, files, strict=True))
    ]
    timings_ms = timings_ms_of(queue_s, inference_s, encode_s)
    match how.media_type:
        case negotiation.JSON:
            for record, file in zip(records, files, strict=True):
                record["data"] = base64.b64encode(file.data).decode()
            body = orjson.dumps(_document(request_id, model, records, timings_ms))
        case negotiation.ZIP:
            named = {}
            for record, file in zip(records, files, strict=True):
                record["file"] = _file_name(record, how)
                named[record["file"]] = file.data
            body = archive(named, _document(request_id, model, records, timings_ms))
        case _:
            (file,) = files
            body = file.data
    timing = server_timing(queue_s, inference_s, encode_s, hit=hit)
    return Answer(body, how.media_type, _headers(model, how, timing, seeds, []), encode_s)


def image_text(image: GeneratedImage, model: LiveModel, truncation: float | None) -> dict[str, str]:
    """The text chunks from which a PNG's image can be made again.

    `latent`, the base64 of little-endian float32, stands in for `seed` when there is none.
    """
    text = {"model": model.label, "digest": model.digest}
    if image.seed is not None:
        text["seed"] = str(image.seed)
    else:
        text["latent"] = base64.b64encode(np.ascontiguousarray(image.latent, dtype="<f4").tobytes()).decode()
    if image.class_id is not None:
        text["class_id"] = str(image.class_id)
    if truncation is not None:
        text["truncation"] = repr(truncation)
    return text


def server_timing(queue_s: float, inference_s: float, encode_s: float, *, hit: bool = False) -> str:
    """The Server-Timing header; durations in milliseconds, as its specification has them.

    `hit` says that nothing had to be made, since the cache had it.
    """
    timing = f"queue;dur={queue_s * 1e3:.3f}, inference;dur={inference_s * 1e3:.3f}, encode;dur={encode_s * 1e3:.3f}"
    return f"{timing}, cache;desc=hit" if hit else timing


def head_of(request_id: str, model: LiveModel) -> dict[str, Any]:
    """What every JSON answer begins with."""
    return {"id": request_id, "model": {"name": model.name, "version": model.version, "digest": model.digest}}


def timings_ms_of(queue_s: float, inference_s: float, encode_s: float) -> dict[str, float]:
    """Milliseconds, as JSON answers have them."""
    parts = {"queue": queue_s, "inference": inference_s, "encode": encode_s}
    return {name: round(seconds * 1000, 3) for name, seconds in parts.items()}


def archive(files: Mapping[str, bytes], document: Mapping[str, Any]) -> bytes:
    """A zip without compression, since its files are compressed; the document goes in as images.json."""
    described = {"images.json": orjson.dumps(document, option=orjson.OPT_INDENT_2)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {**files, **described}.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def _pixels(images: Iterable[GeneratedImage]) -> list[imaging.Pixels]:
    return [image.pixels for image in images]


def _file(images: Sequence[GeneratedImage], model: LiveModel, how: Presentation, image_format: ImageFormat) -> bytes:
    """One image as a file, or several as a grid."""
    if len(images) == 1 and not how.as_grid:
        text = image_text(images[0], model, how.truncation)
        return imaging.encode(images[0].pixels, image_format, quality=how.quality, text=text, png_level=how.png_level)
    columns: dict[str, list[str]] = {}
    for image in images:
        for key, value in image_text(image, model, how.truncation).items():
            columns.setdefault(key, []).append(value)
    text = {
        key: values[0] if key in {"model", "digest", "truncation"} else ",".join(values)
        for key, values in columns.items()
    }
    sheet = imaging.grid(_pixels(images))
    return imaging.encode(sheet, image_format, quality=how.quality, text=text, png_level=how.png_level)


def _records(images: Sequence[GeneratedImage], model: LiveModel, how: Presentation) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for index, image in enumerate(images):
        record = _record(index, image.seed, image.class_id, model, how)
        if image.realness is not None:
            record["realness"] = image.realness
        if how.judged:
            record["accepted"] = bool(image.accepted)
            record["attempts"] = image.attempts
        if how.with_latents:
            record["latent"] = image.latent.tolist()
        records.append(record)
    return records


def _record(index: int, seed: int | None, class_id: int | None, model: LiveModel, how: Presentation) -> dict[str, Any]:
    spec = model.manifest.image
    return {
        "index": index,
        "seed": seed,
        "class_id": class_id,
        "format": how.image_format,
        "width": spec.width,
        "height": spec.height,
    }


def _grid_record(images: Sequence[GeneratedImage], how: Presentation) -> dict[str, Any]:
    height, width, _ = images[0].pixels.shape
    columns = imaging.grid_columns(len(images))
    rows = -(-len(images) // columns)
    return {
        "format": how.image_format,
        "columns": columns,
        "rows": rows,
        "width": columns * width,
        "height": rows * height,
    }


def _document(
    request_id: str, model: LiveModel, records: list[dict[str, Any]], timings_ms: Mapping[str, float]
) -> dict[str, Any]:
    return {**head_of(request_id, model), "images": records, "timings_ms": timings_ms}


def _archive(request_id: str, model: LiveModel, generation: Generation, how: Presentation, began: float) -> bytes:
    """One file per image, or the grid, and images.json."""
    images = generation.images
    records = _records(images, model, how)
    extra: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    if how.as_grid:
        name = f"grid.{_EXTENSIONS[how.image_format]}"
        files[name] = _file(images, model, how, how.image_format)
        extra = {"grid": _grid_record(images, how) | {"file": name}}
    else:
        for record, image in zip(records, images, strict=True):
            name = _file_name(record, how)
            files[name] = _file([image], model, how, how.image_format)
            record["file"] = name
    encode_s = time.perf_counter() - began
    timings_ms = timings_ms_of(generation.queue_s, generation.inference_s, encode_s)
    return archive(files, _document(request_id, model, records, timings_ms) | extra)


def _file_name(record: Mapping[str, Any], how: Presentation) -> str:
    seed = "" if record["seed"] is None else f"-seed{record['seed']}"
    return f"{record['index']:04d}{seed}.{_EXTENSIONS[how.image_format]}"


def _headers(
    model: LiveModel, how: Presentation, timing: str, seeds: Sequence[int], accepted: Sequence[bool]
) -> dict[str, str]:
    headers = {
        "Server-Timing": timing,
        "X-Model": model.label,
        "Vary": "Accept",
    }
    if how.media_type == negotiation.JSON:
        return headers
    lists = {"X-Seed": ",".join(map(str, seeds))}
    if how.judged:
        lists["X-Accepted"] = ",".join("true" if one else "false" for one in accepted)
    # Proxies refuse long headers; who needs more than this many seeds reads them from JSON or a zip.
    headers.update({name: value for name, value in lists.items() if 0 < len(value) <= _MAX_HEADER_CHARS})
    return headers
