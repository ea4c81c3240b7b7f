"""What a bundle's networks must show before they may serve, which warms them up as well."""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engines.base import Arrays, Engine
from app.engines.buckets import bucket_sizes
from app.engines.feeds import discriminator_inputs, encoder_inputs, generator_inputs
from app.engines.invariance import batch_invariant
from app.errors import ModelLoadError
from bundle import Bundle, classes_of, sample_latents

logger = logging.getLogger(__name__)

_BIT_EQUAL_PROVIDER = "CPUExecutionProvider"
"""Where a row's bits are promised, whatever the batch; other providers promise a tolerance."""
_BATCH_PIXELS = 2**18
"""A CPU gains nothing from more: 64 images of 256x256 run no faster than four, and take 1.5 GiB more of memory."""
_TRIED_PIXELS = 2**16
_TRIED_ROWS = (4, 64)
"""Least and most; between them as many rows as make up _TRIED_PIXELS, for it is pixels that tip over."""


def admit_generator(bundle: Bundle, engine: Engine, *, max_batch_size: int) -> int:
    """Make the golden images and compare: a graph can load and yet be wrong. Returns the batch size to run it at.

    Raises ModelLoadError when the images are others, or the graph cannot be run.
    """
    manifest, inputs = bundle.manifest, golden_inputs(bundle)
    sizes = _device_sizes(engine, max_batch_size)
    for size in sizes:
        _require_golden(bundle, _run(bundle, engine, _repeated(inputs, size)), _repeat(bundle.golden, size))
    _require_golden(bundle, _run(bundle, engine, inputs), bundle.golden)
    if sizes:
        return max_batch_size
    least, most = _TRIED_ROWS
    rows = min(max(_TRIED_PIXELS // (manifest.image.height * manifest.image.width), least), most)
    z = sample_latents(manifest.latent, range(rows))
    tried = generator_inputs(manifest, z, classes_of(z, len(manifest.classes)) if manifest.classes else None, 1.0)
    return _steady_batch_size(bundle, engine, tried, max_batch_size)


def golden_inputs(bundle: Bundle) -> dict[str, NDArray[np.generic]]:
    """What the generator made the golden images from."""
    golden, manifest = bundle.manifest.golden, bundle.manifest
    classes = None if golden.class_ids is None else np.array(golden.class_ids, dtype=np.int64)
    return generator_inputs(manifest, sample_latents(manifest.latent, golden.seeds), classes, 1.0)


def admit_discriminator(bundle: Bundle, engine: Engine, *, max_batch_size: int) -> int:
    """Score the golden images. Returns the batch size to run it at.

    Raises ModelLoadError when a score is not finite, or the graph cannot be run.
    """
    inputs = discriminator_inputs(bundle.manifest, bundle.golden, None)
    return _admit(bundle, engine, inputs, max_batch_size=max_batch_size)


def admit_encoder(bundle: Bundle, engine: Engine, *, max_batch_size: int) -> int:
    """Encode the golden images. Returns the batch size to run it at.

    Raises ModelLoadError when a value is not finite or the outputs are not those of the manifest, or the graph cannot
    be run.
    """
    inputs = encoder_inputs(bundle.golden)
    outputs = _run(bundle, engine, inputs)
    found = {name: (str(values.dtype), values.shape[1:]) for name, values in outputs.items()}
    wanted = {spec.name: (spec.dtype, spec.shape[1:]) for spec in bundle.manifest.encoder_outputs()}
    if found != wanted:
        raise ModelLoadError(f"{bundle.path}: the encoder's outputs are {found}, not {wanted}")
    return _admit(bundle, engine, inputs, max_batch_size=max_batch_size)


def _admit(bundle: Bundle, engine: Engine, inputs: Arrays, *, max_batch_size: int) -> int:
    sizes = _device_sizes(engine, max_batch_size)
    for size in sizes:
        _require_finite(bundle, _run(bundle, engine, _repeated(inputs, size)))
    _require_finite(bundle, _run(bundle, engine, inputs))
    if sizes:
        return max_batch_size
    return _steady_batch_size(bundle, engine, inputs, max_batch_size)


def _require_golden(bundle: Bundle, outputs: Arrays, golden: NDArray[np.uint8]) -> None:
    images, allowed = outputs["image"], bundle.manifest.golden.tolerance
    if images.shape != golden.shape or images.dtype != np.uint8:
        raise ModelLoadError(f"{bundle.path}: the generator makes {images.dtype}{list(images.shape)} images")
    apart = int(np.abs(images.astype(np.int16) - golden.astype(np.int16)).max())
    if apart > allowed:
        raise ModelLoadError(
            f"{bundle.path}: the golden images come out {apart} grey levels off, {allowed} are allowed"
        )


def _require_finite(bundle: Bundle, outputs: Arrays) -> None:
    if not all(np.isfinite(values).all() for values in outputs.values()):
        raise ModelLoadError(f"{bundle.path}: what a network finds in the golden images is not finite")


def _device_sizes(engine: Engine, max_batch_size: int) -> list[int]:
    """The batch sizes that a device has to be ready for; none for the CPU, which needs no preparation.

    Largest first: memory is then taken once, and TensorRT builds for the whole range from the start.
    """
    return [] if engine.provider == _BIT_EQUAL_PROVIDER else bucket_sizes(max_batch_size)[::-1]


def _repeated(rows: Arrays, size: int) -> dict[str, NDArray[Any]]:
    return {name: _repeat(values, size) for name, values in rows.items()}


def _repeat(values: NDArray[Any], size: int) -> NDArray[Any]:
    return np.resize(values, (size, *values.shape[1:]))


def _steady_batch_size(bundle: Bundle, engine: Engine, rows: Arrays, max_batch_size: int) -> int:
    """`max_batch_size`, cut down to _BATCH_PIXELS, or 1 where a batch would change a row's bits, which are promised."""
    image = bundle.manifest.image
    max_batch_size = min(max_batch_size, max(1, _BATCH_PIXELS // (image.height * image.width)))
    try:
        steady = batch_invariant(engine, rows, max_batch_size=max_batch_size)
    except Exception as error:  # as in _run
        raise _cannot_run(bundle, error) from error
    if steady:
        return max_batch_size
    logger.warning("%s: a network rounds otherwise in batches here; its rows are run one at a time", bundle.path)
    return 1


def _run(bundle: Bundle, engine: Engine, inputs: Arrays) -> dict[str, NDArray[Any]]:
    try:
        return engine.run(inputs)
    except Exception as error:  # an engine raises what its library raises
        raise _cannot_run(bundle, error) from error


def _cannot_run(bundle: Bundle, error: Exception) -> ModelLoadError:
    return ModelLoadError(f"{bundle.path}: a graph cannot be run: {type(error).__name__}")
