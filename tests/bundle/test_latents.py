from typing import Literal

import numpy as np
import pytest

from bundle import LatentSpec, classes_of, sample_latents

GOLDEN_CLASSES = [3, 1, 7, 5, 1, 1, 6, 9]
NORMAL = LatentSpec(distribution="normal", dim=4)
UNIFORM = LatentSpec(distribution="uniform", dim=4)


@pytest.mark.parametrize(
    ("spec", "seed", "golden"),
    [
        (NORMAL, 0, "1.7640524 0.4001572 0.978738 2.2408931"),
        (NORMAL, 1, "1.6243454 -0.61175644 -0.5281718 -1.0729686"),
        (NORMAL, 2**32 - 1, "0.64840865 0.6693235 -1.0805438 0.284501"),
        (UNIFORM, 0, "0.09762701 0.43037874 0.20552675 0.08976637"),
        (UNIFORM, 2**32 - 1, "-0.80473596 0.8247657 0.5780706 0.5600072"),
    ],
)
def test_seed_to_z_is_frozen(spec: LatentSpec, seed: int, golden: str) -> None:
    expected = np.array(golden.split(), dtype=np.float32)
    drawn = sample_latents(spec, [seed])[0]
    assert drawn.dtype == np.float32
    assert np.allclose(drawn, expected, rtol=0, atol=1e-6)


def test_the_first_normal_latent_is_bit_equal_to_its_golden_bytes() -> None:
    assert sample_latents(NORMAL, [0]).tobytes().hex() == "78cce13f68e1cc3e938e7a3fcb6a0f40"


def test_a_row_depends_on_its_seed_alone() -> None:
    together = sample_latents(NORMAL, [5, 6, 7, 5])
    assert np.array_equal(together[1:2], sample_latents(NORMAL, [6]))
    assert np.array_equal(together[0], together[3])


def test_uniform_latents_fill_minus_one_to_one() -> None:
    drawn = sample_latents(LatentSpec(distribution="uniform", dim=1000), [3])
    assert -1 <= drawn.min() < -0.99
    assert 0.99 < drawn.max() <= 1


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_outside_32_bits_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="0 to 4294967295"):
        sample_latents(NORMAL, [seed])


def test_no_seeds_give_no_rows() -> None:
    assert sample_latents(NORMAL, []).shape == (0, 4)


def test_the_class_of_a_latent_is_frozen_and_even() -> None:
    latents = sample_latents(NORMAL, range(5000))
    classes = classes_of(latents, 10)
    assert classes[:8].tolist() == GOLDEN_CLASSES
    assert np.bincount(classes, minlength=10).min() > 400


def test_the_class_survives_the_way_through_json() -> None:
    latents = sample_latents(NORMAL, range(50))
    again = np.array([[float(repr(float(value))) for value in row] for row in latents], dtype=np.float32)
    assert np.array_equal(classes_of(latents, 10), classes_of(again, 10))


@pytest.mark.parametrize("dim", [1, 3, 64])
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_every_row_is_the_stream_of_a_fresh_generator(dim: int, distribution: Literal["normal", "uniform"]) -> None:
    seeds = [0, 1, 7, 7, 2**31, 2**32 - 1]
    drawn = sample_latents(LatentSpec(distribution=distribution, dim=dim), seeds)
    for row, seed in zip(drawn, seeds, strict=True):
        fresh = np.random.RandomState(seed)
        expected = fresh.standard_normal(dim) if distribution == "normal" else fresh.uniform(-1, 1, dim)
        assert np.array_equal(row, expected.astype(np.float32))
