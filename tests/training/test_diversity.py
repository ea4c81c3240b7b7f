"""Coverage, spread, plausibility and copies, on images whose answer is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data import ImageSet, Split
from training.metrics.diversity import measure_diversity

MODES = 10


def _bars(count: int, seed: int, *, modes: int = MODES) -> NDArray[np.uint8]:
    """Images uint8 [count, 20, 20, 1] of one bright bar in one of `modes` places, each of its own length and grain."""
    chance = np.random.default_rng(seed)
    images = chance.integers(0, 30, size=(count, 20, 20, 1)).astype(np.uint8)
    for image in images:
        column = 2 * chance.integers(modes)
        image[: chance.integers(12, 20), column : column + 2] += np.uint8(chance.integers(150, 220))
    return images


def _set(images: NDArray[np.uint8]) -> ImageSet:
    return ImageSet("bars", images, None, None)


@pytest.fixture(scope="module")
def split() -> Split:
    return Split(_set(_bars(500, 1)), _set(_bars(200, 2)))


def test_images_from_the_same_source_are_various_plausible_and_no_copies(split: Split) -> None:
    found = measure_diversity(_bars(200, 3), split, None)
    assert found.coverage > 0.9
    assert found.coverage_of_real > 0.9
    assert found.spread == pytest.approx(1, abs=0.05)
    assert found.plausible > 0.9
    assert found.copied < 0.05


def test_images_of_two_modes_in_ten_are_plausible_and_cover_little(split: Split) -> None:
    found = measure_diversity(_bars(200, 3, modes=2), split, None)
    assert found.coverage < 0.35
    assert found.coverage < 0.4 * found.coverage_of_real
    assert found.plausible > 0.9


def test_one_image_again_and_again_has_no_spread(split: Split) -> None:
    found = measure_diversity(np.repeat(_bars(1, 3), 200, axis=0), split, None)
    assert found.spread == pytest.approx(0, abs=1e-4)
    assert found.coverage <= 0.1


def test_copies_with_a_little_noise_are_found_out(split: Split) -> None:
    copies = split.train.images[:200] + np.random.default_rng(0).integers(0, 3, size=(200, 20, 20, 1)).astype(np.uint8)
    assert measure_diversity(copies, split, None).copied > 0.95


def test_a_blurred_mean_is_close_to_many_and_a_copy_of_none(split: Split) -> None:
    blurred = np.repeat(split.train.images.mean(axis=0, keepdims=True).astype(np.uint8), 200, axis=0)
    assert measure_diversity(blurred, split, None).copied == 0


@pytest.mark.parametrize("kind", ["noise", "grey"])
def test_noise_and_plain_grey_are_not_plausible(kind: str, split: Split) -> None:
    chance = np.random.default_rng(0)
    images = np.full((100, 20, 20, 1), 128, dtype=np.uint8)
    if kind == "noise":
        images = chance.integers(0, 256, size=images.shape, dtype=np.uint8)
    assert measure_diversity(images, split, None).plausible == 0


def test_modes_are_fewer_where_there_are_few_training_images_and_equal_images_are_one(split: Split) -> None:
    few = Split(_set(split.train.images[:60]), split.held_out)
    assert measure_diversity(_bars(100, 3), few, None).modes == 3
    equal = Split(_set(np.repeat(split.train.images[:1], 60, axis=0)), split.held_out)
    assert measure_diversity(_bars(100, 3), equal, None).modes == 1


def test_a_measurement_repeats(split: Split) -> None:
    images = _bars(100, 3)
    assert measure_diversity(images, split, None) == measure_diversity(images, split, None)
