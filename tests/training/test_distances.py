"""Distances between sets of features, each against its definition, written out naively."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from training.metrics.kid import kernel_distance
from training.metrics.memorisation import memorised_share, nearest
from training.metrics.modes import MODES, count_modes
from training.metrics.prdc import prdc
from training.metrics.probe import probe_accuracy

CHANCE = np.random.default_rng(0)
REAL = CHANCE.standard_normal((60, 5))
FAKE = CHANCE.standard_normal((40, 5)) * 0.7 + 0.4


def _kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float((sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3)


def test_kid_is_the_unbiased_estimate_of_the_squared_discrepancy() -> None:
    real, fake = REAL[:12], FAKE[:12]
    within_real = sum(_kernel(x, y) for x, y in itertools.permutations(real, 2)) / (12 * 11)
    within_fake = sum(_kernel(x, y) for x, y in itertools.permutations(fake, 2)) / (12 * 11)
    between = sum(_kernel(x, y) for x in real for y in fake) / 12**2
    mean, spread = kernel_distance(real, fake, subsets=3)
    assert mean == pytest.approx(within_real + within_fake - 2 * between, rel=1e-12)
    assert spread == pytest.approx(0, abs=1e-12)  # every subset has all twelve


def test_kid_of_one_distribution_is_zero_on_average_and_of_two_is_not() -> None:
    chance = np.random.default_rng(1)
    first, second = chance.standard_normal((2, 4000, 8))
    same, spread = kernel_distance(first, second, subsets=50, size=500)
    assert abs(same) < 3 * spread / 50**0.5 + 0.01
    other, _ = kernel_distance(first, second + 0.5, subsets=50, size=500)
    assert other > 10 * abs(same)
    assert kernel_distance(first, second, subsets=5) == kernel_distance(first, second, subsets=5)


def _naive(real: NDArray[np.float64], fake: NDArray[np.float64], k: int) -> tuple[float, float, float, float]:
    def apart(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return float(np.linalg.norm(x - y))

    def radii(points: NDArray[np.float64]) -> list[float]:
        return [sorted(apart(x, y) for y in points)[k] for x in points]

    real_radii, fake_radii = radii(real), radii(fake)
    near = [[apart(x, y) < radius for x, radius in zip(real, real_radii, strict=True)] for y in fake]
    precision = sum(any(row) for row in near) / len(fake)
    density = sum(sum(row) for row in near) / (k * len(fake))
    coverage = sum(any(row[index] for row in near) for index in range(len(real))) / len(real)
    recall = sum(any(apart(x, y) < r for y, r in zip(fake, fake_radii, strict=True)) for x in real) / len(real)
    return precision, recall, density, coverage


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_recall_density_and_coverage_are_their_definitions(k: int) -> None:
    found = prdc(REAL, FAKE, k=k)
    expected = _naive(REAL, FAKE, k)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(expected, rel=1e-12)


def test_they_do_not_depend_on_how_rows_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prdc(REAL, FAKE)
    monkeypatch.setattr("training.metrics.prdc._CHUNK", 7)
    assert prdc(REAL, FAKE) == whole


def test_collapse_shows_in_recall_and_coverage_and_noise_in_precision_and_density() -> None:
    chance = np.random.default_rng(2)
    real = chance.standard_normal((1000, 4))
    same = prdc(real, chance.standard_normal((1000, 4)))
    collapsed = prdc(real, chance.standard_normal((1000, 4)) * 0.05)
    noisy = prdc(real, chance.standard_normal((1000, 4)) * 5)
    assert same.coverage > 0.9
    assert collapsed.precision > 0.9
    assert max(collapsed.recall, collapsed.coverage) < 0.2
    assert noisy.precision < 0.3
    assert noisy.density < same.density / 3


def test_too_few_images_have_no_neighbourhoods() -> None:
    with pytest.raises(ValueError, match="no 5 neighbours"):
        prdc(REAL, FAKE[:5])


def test_the_nearest_training_image_is_found_and_a_copy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.metrics.memorisation._CHUNK", 7)
    chance = np.random.default_rng(3)
    training, held_out, fresh = (chance.standard_normal((500, 6)) for _ in range(3))
    copies = training[::2] + 1e-3
    found = nearest(copies, training)
    assert found.index.tolist() == list(range(0, 500, 2))
    assert found.distance == pytest.approx(1e-3 * 6**0.5)
    assert memorised_share(found, nearest(held_out, training)) == 1.0
    assert memorised_share(nearest(fresh, training), nearest(held_out, training)) < 0.05


def test_modes_are_counted_and_their_evenness_is_kl_to_uniform() -> None:
    every = np.arange(MODES)
    assert count_modes(every).found == MODES
    assert count_modes(every).divergence == pytest.approx(0, abs=1e-12)
    one = np.full(50, 314)
    assert count_modes(one).found == 1
    assert count_modes(one).divergence == pytest.approx(np.log(1000))
    half = count_modes(every[:500])
    assert half.found == 500
    assert half.divergence == pytest.approx(np.log(2))


def test_a_probe_reads_what_is_linear_and_no_more() -> None:
    chance = np.random.default_rng(4)
    features = chance.standard_normal((600, 2))
    linear = (features @ np.array([3.0, -1.0]) > 0).astype(np.int64)
    parity = ((features > 0).sum(axis=1) % 2).astype(np.int64)
    assert probe_accuracy(features[:400], linear[:400], features[400:], linear[400:]) > 0.97
    assert probe_accuracy(features[:400], parity[:400], features[400:], parity[400:]) < 0.65
