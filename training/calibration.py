"""From D's logit to a probability that can be believed: Platt scaling on images that D never saw."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle import sample_latents
from bundle.manifest import Calibration
from training.data import ImageSet
from training.metrics.ranking import expected_calibration_error
from training.players import CLASS_NOT_STATED, Players

FIRST_SEED = 2**31
"""Of the generated images that D is calibrated against: far from the seeds that samples and metrics use."""


@dataclass(frozen=True)
class Platt:
    """probability = sigmoid(slope * logit + intercept) (Platt, 1999)."""

    slope: float
    intercept: float

    def __call__(self, logit: NDArray[np.float64]) -> NDArray[np.float64]:
        """The calibrated probability of each logit, float64 [n]."""
        return _sigmoid(self.slope * logit + self.intercept)


@dataclass(frozen=True)
class Calibrated:
    """The two fits, for a stated class and for the score over all classes, and what the manifest says of them."""

    stated: Platt
    not_stated: Platt
    record: Calibration


def calibrate(players: Players, held_out: ImageSet) -> Calibrated:
    """Fit on every other held-out image against as many generated ones; measure the error on the rest."""
    count = len(held_out)
    unlabelled = np.full(count, CLASS_NOT_STATED, dtype=np.int64)
    # Every class twice in a row, since one of two images is fitted on and the other measured.
    fake_classes = np.arange(count, dtype=np.int64) // 2 % len(players.classes) if players.classes else None
    fake = players.images(sample_latents(players.latent, range(FIRST_SEED, FIRST_SEED + count)), fake_classes)
    stated, error = _fit(players, held_out.images, fake, held_out.labels, fake_classes)
    not_stated, not_stated_error = _fit(players, held_out.images, fake, unlabelled, unlabelled)
    record = Calibration(
        method="platt",
        parameters={
            "slope": stated.slope,
            "intercept": stated.intercept,
            "slope_class_not_stated": not_stated.slope,
            "intercept_class_not_stated": not_stated.intercept,
        },
        expected_calibration_error=max(error, not_stated_error),
        n=2 * ((count + 1) // 2),
    )
    return Calibrated(stated, not_stated, record)


def _fit(
    players: Players,
    real: NDArray[np.uint8],
    fake: NDArray[np.uint8],
    real_classes: NDArray[np.int64] | None,
    fake_classes: NDArray[np.int64] | None,
) -> tuple[Platt, float]:
    unlabelled = np.full(len(real), CLASS_NOT_STATED, dtype=np.int64)
    real_logits = players.logits(real, unlabelled if real_classes is None else real_classes)
    fake_logits = players.logits(fake, unlabelled if fake_classes is None else fake_classes)
    platt = fit_platt(real_logits[::2], fake_logits[::2])
    rest = platt(np.concatenate([real_logits[1::2], fake_logits[1::2]]))
    truth = np.arange(len(rest)) < len(real_logits[1::2])
    return platt, expected_calibration_error(rest, truth)


def fit_platt(real: NDArray[np.float64], fake: NDArray[np.float64]) -> Platt:
    """Maximum likelihood by Newton's method on logits float64 [n] and [m], with Platt's smoothed targets.

    A slope at or below zero would say that D ranks worse than chance; it is kept just above, since a probability must
    not turn D's own order round.
    """
    logit = np.concatenate([real, fake])
    target = np.concatenate(
        [np.full(len(real), (len(real) + 1) / (len(real) + 2)), np.full(len(fake), 1 / (len(fake) + 2))]
    )
    scale = float(logit.std()) or 1.0
    design = np.stack([logit / scale, np.ones_like(logit)], axis=1)
    weights = np.zeros(2)
    for _ in range(100):
        probability = _sigmoid(design @ weights)
        gradient = design.T @ (probability - target)
        curvature = design.T @ (design * (probability * (1 - probability))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        length = float(np.linalg.norm(step))
        weights -= step * min(1.0, 2.0 / max(length, 1e-12))  # a bounded step cannot overshoot into saturation
        if length < 1e-10:
            break
    return Platt(slope=max(float(weights[0]) / scale, 1e-6), intercept=float(weights[1]))


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))  # never overflows
