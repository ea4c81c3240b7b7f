import numpy as np
import pytest
from numpy.typing import NDArray

from bundle import LatentSpec
from training.calibration import calibrate, draw_trial, fit_platt
from training.data import ImageSet
from training.metrics.fid import frechet_distance
from training.metrics.ranking import expected_calibration_error, roc_auc


def test_frechet_distance_of_two_gaussians_is_the_closed_form() -> None:
    chance = np.random.default_rng(0)
    unit = chance.standard_normal((4000, 3))
    unit = (unit - unit.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(unit, rowvar=False))).T  # exactly N(0, I)
    scale, shift = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.0, -1.0])
    expected = (shift**2).sum() + ((scale - 1) ** 2).sum()
    assert frechet_distance(unit, unit * scale + shift) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(unit, unit) == pytest.approx(0, abs=1e-6)


def test_roc_auc_on_hand_counted_pairs() -> None:
    assert roc_auc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1
    assert roc_auc(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 0
    assert roc_auc(np.array([1.0, 3.0]), np.array([1.0, 2.0])) == pytest.approx((0.5 + 0 + 1 + 1) / 4)


def test_calibration_error_is_zero_for_true_frequencies_and_large_for_boasts() -> None:
    truth = np.arange(1000) % 4 == 0
    assert expected_calibration_error(np.full(1000, 0.25), truth) == pytest.approx(0, abs=1e-12)
    assert expected_calibration_error(np.full(1000, 0.95), truth) == pytest.approx(0.70)


def test_platt_recovers_the_line_that_made_the_labels() -> None:
    chance = np.random.default_rng(0)
    logit = chance.normal(3.0, 4.0, size=60_000)
    real = chance.random(60_000) < 1 / (1 + np.exp(-(0.7 * logit - 2.0)))
    fit = fit_platt(logit[real], logit[~real])
    assert fit.slope == pytest.approx(0.7, abs=0.02)
    assert fit.intercept == pytest.approx(-2.0, abs=0.06)


def test_platt_stays_finite_when_the_groups_do_not_overlap() -> None:
    fit = fit_platt(np.linspace(5, 9, 100), np.linspace(-9, -5, 100))
    assert np.isfinite([fit.slope, fit.intercept]).all()
    assert fit(np.array([7.0]))[0] > 0.95
    assert fit(np.array([-7.0]))[0] < 0.05


def test_platt_never_turns_the_order_round() -> None:
    assert fit_platt(np.linspace(-9, -5, 100), np.linspace(5, 9, 100)).slope > 0


class _ClassScores:
    """Players whose every image scores as its class does: the generated ones the class, the real ones one more."""

    latent = LatentSpec(distribution="normal", dim=2)
    shape = (1, 1, 1)
    classes = ("a", "b")
    has_discriminator = True

    def images(
        self, z: NDArray[np.float32], class_ids: NDArray[np.int64] | None, *, truncation: float = 1.0
    ) -> NDArray[np.uint8]:
        assert class_ids is not None
        return class_ids.astype(np.uint8).reshape(-1, 1, 1, 1)

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        raise NotImplementedError

    def logits(self, images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        return images[:, 0, 0, 0].astype(np.float64)


def test_calibration_is_measured_on_the_classes_that_it_was_fitted_on() -> None:
    images = (1 + np.arange(4000) // 2 % 2).astype(np.uint8).reshape(-1, 1, 1, 1)
    labels = np.arange(4000) // 2 % 2
    players = _ClassScores()
    record = calibrate(players, draw_trial(players, ImageSet("scores", images, labels, ("a", "b")))).record
    assert record.expected_calibration_error < 0.01
