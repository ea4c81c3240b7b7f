"""What the graphs of a bundle are fed: input names and shapes, as the manifest has them."""

import numpy as np
from numpy.typing import NDArray

from bundle import Manifest

CLASS_NOT_STATED = -1
"""The class that makes a conditional discriminator score an image over all classes."""


def generator_inputs(
    manifest: Manifest, z: NDArray[np.float32], class_ids: NDArray[np.int64] | None, truncation: float
) -> dict[str, NDArray[np.generic]]:
    """What the generator graph takes for latent rows `z`, float32 [n, dim], with one truncation psi for all."""
    inputs: dict[str, NDArray[np.generic]] = {"z": z}
    if manifest.classes is not None and class_ids is not None:
        inputs["class_id"] = class_ids
    if manifest.truncation.supported:
        psi = inputs["truncation"] = np.empty(len(z), dtype=np.float32)
        psi.fill(truncation)
    return inputs


def encoder_inputs(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.generic]]:
    """What the encoder graph takes for pixels uint8 [n, h, w, c]."""
    return {"image": pixels}


def discriminator_inputs(
    manifest: Manifest, pixels: NDArray[np.uint8], class_ids: NDArray[np.int64] | None
) -> dict[str, NDArray[np.generic]]:
    """What the discriminator graph takes for pixels uint8 [n, h, w, c]; `class_ids` None states no class."""
    inputs: dict[str, NDArray[np.generic]] = {"image": pixels}
    if manifest.classes is not None:
        inputs["class_id"] = np.full(len(pixels), CLASS_NOT_STATED, np.int64) if class_ids is None else class_ids
    return inputs
