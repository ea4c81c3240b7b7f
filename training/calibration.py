"""From D's logit to a probability that can be believed: Platt scaling on images that D never saw."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bundle import sample_latents
from bundle.manifest import SCORE_BINS, Calibration, ScoreHistogram
from training.data import ImageSet
from training.metrics.ranking import expected_calibration_error
from training.players import CLASS_NOT_STATED, OnnxPlayers, Players

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


@dataclass(frozen=True)
class Trial:
    """Held-out real images and as many generated ones: every other one is fitted on, the rest is measured.

    Images are uint8 [n, height, width, channels], classes int64 [n], -1 where there are none.
    """

    real: NDArray[np.uint8]
    generated: NDArray[np.uint8]
    real_classes: NDArray[np.int64]
    generated_classes: NDArray[np.int64]

    def unlabelled(self) -> "Trial":
        """The same images, with no class stated."""
        nothing = np.full_like(self.real_classes, CLASS_NOT_STATED)
        return replace(self, real_classes=nothing, generated_classes=nothing)

    def measured(self) -> "Trial":
        """Those that take no part in the fit."""
        return Trial(self.real[1::2], self.generated[1::2], self.real_classes[1::2], self.generated_classes[1::2])


def draw_trial(players: Players, held_out: ImageSet, *, first_seed: int = FIRST_SEED) -> Trial:
    """The held-out images and as many of the seeds from `first_seed` on, all classes in turn."""
    count = len(held_out)
    nothing = np.full(count, CLASS_NOT_STATED, dtype=np.int64)
    # Every class twice in a row, since one of two images is fitted on and the other measured.
    classes = np.arange(count, dtype=np.int64) // 2 % len(players.classes) if players.classes else None
    return Trial(
        real=held_out.images,
        generated=players.images(sample_latents(players.latent, range(first_seed, first_seed + count)), classes),
        real_classes=nothing if held_out.labels is None else held_out.labels,
        generated_classes=nothing if classes is None else classes,
    )


def calibrate(players: Players, trial: Trial) -> Calibrated:
    """Fit on every other image; measure the error on the rest. The record's scores are for the graph to tell."""
    stated, error = _fit(players, trial)
    not_stated, not_stated_error = _fit(players, trial.unlabelled())
    record = Calibration(
        method="platt",
        parameters={
            "slope": stated.slope,
            "intercept": stated.intercept,
            "slope_class_not_stated": not_stated.slope,
            "intercept_class_not_stated": not_stated.intercept,
        },
        expected_calibration_error=max(error, not_stated_error),
        n=2 * ((len(trial.real) + 1) // 2),
    )
    return Calibrated(stated, not_stated, record)


def score_histogram(players: OnnxPlayers, trial: Trial) -> ScoreHistogram | None:
    """How the graph's probability spreads over the images that were not fitted on; None where there are none.

    No class is stated, as by a client who has an image and no more.
    """
    rest = trial.unlabelled().measured()
    if not len(rest.real):
        return None
    return ScoreHistogram(
        real=_shares(players.probabilities(rest.real, rest.real_classes)),
        generated=_shares(players.probabilities(rest.generated, rest.generated_classes)),
        n=len(rest.real),
    )


def stated_error(players: OnnxPlayers, trial: Trial) -> float:
    """The expected calibration error of what the graph states, on the images that `calibrate` measures on."""
    errors = []
    for rest in (trial.measured(), trial.unlabelled().measured()):
        real = players.probabilities(rest.real, rest.real_classes)
        generated = players.probabilities(rest.generated, rest.generated_classes)
        errors.append(_error(real, generated))
    return max(errors)


def _fit(players: Players, trial: Trial) -> tuple[Platt, float]:
    real = players.logits(trial.real, trial.real_classes)
    generated = players.logits(trial.generated, trial.generated_classes)
    platt = fit_platt(real[::2], generated[::2])
    return platt, _error(platt(real[1::2]), platt(generated[1::2]))


def _error(real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
    truth = np.arange(len(real) + len(generated)) < len(real)
    return expected_calibration_error(np.concatenate([real, generated]), truth)


def _shares(probability: NDArray[np.float64]) -> tuple[float, ...]:
    counts, _ = np.histogram(probability, bins=SCORE_BINS, range=(0, 1))
    return tuple(float(count) / len(probability) for count in counts)


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
