"""The use case of scoring: pixels -> how real the discriminator finds them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.batching import BatchResult
from app.engines.feeds import discriminator_inputs
from app.errors import DiscriminatorUnavailable, FieldError, InvalidRequest, ModelFailure
from app.registry import LiveModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Score:
    """The verdict on one image: D's logit, its calibrated probability, and float32 [d] features if asked for."""

    logit: float
    realness: float
    features: NDArray[np.float32] | None


@dataclass(frozen=True)
class Discrimination:
    """A score per image; `calibrated` says whether realness is a fitted probability or a bare sigmoid."""

    scores: list[Score]
    calibrated: bool
    queue_s: float
    inference_s: float


async def discriminate(
    model: LiveModel,
    pixels: NDArray[np.uint8],
    *,
    class_ids: Sequence[int] | None,
    want_features: bool,
    deadline: float | None,
) -> Discrimination:
    """Score uint8 [n, height, width, channels], under the stated classes or, without them, under all.

    Raises DiscriminatorUnavailable, InvalidRequest for a class that the model does not have, and what the batcher
    raises.
    """
    if model.discriminator is None:
        raise DiscriminatorUnavailable("this model is served without a discriminator")
    classes = None
    if class_ids is not None:
        require_classes(model, class_ids)
        classes = np.array(class_ids, dtype=np.int64)
    found = await probabilities(model, pixels, classes, deadline)
    outputs = found.outputs
    scores = [
        Score(
            logit=float(outputs["logit"][row]),
            realness=float(outputs["probability"][row]),
            features=outputs["features"][row] if want_features else None,
        )
        for row in range(len(pixels))
    ]
    return Discrimination(scores, model.manifest.calibration is not None, found.queue_s, found.inference_s)


async def probabilities(
    model: LiveModel, pixels: NDArray[np.uint8], class_ids: NDArray[np.int64] | None, deadline: float | None
) -> BatchResult:
    """The discriminator's outputs for pixels, checked to be finite. Raises as `discriminate` does."""
    if model.discriminator is None:
        raise DiscriminatorUnavailable("this model is served without a discriminator")
    found = await model.discriminator.submit(discriminator_inputs(model.manifest, pixels, class_ids), deadline=deadline)
    if not all(np.isfinite(values).all() for values in found.outputs.values()):
        logger.error("model %s: the discriminator's output is not finite", model.label)
        raise ModelFailure("the model failed on this request")
    return found


def require_classes(model: LiveModel, class_ids: Sequence[int]) -> None:
    """Raise InvalidRequest unless the model has every class of `class_ids`."""
    names = model.manifest.classes
    if names is None:
        message = "this model is unconditional: it has no classes"
    elif not all(0 <= class_id < len(names) for class_id in class_ids):
        message = f"this model's classes are 0 to {len(names) - 1}"
    else:
        return
    raise InvalidRequest("the request is not valid", [FieldError("class_id", message)])
