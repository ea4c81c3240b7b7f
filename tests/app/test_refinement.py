from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from app.refinement import Refinement

DIM, SHAPE = 12, (6, 6, 1)
WEIGHTS = np.random.default_rng(0).normal(0, 0.6, (DIM, 36))

Generator = Callable[[NDArray[np.float32]], NDArray[np.uint8]]


def curved(z: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A generator that is no plane: uint8 [n, 6, 6, 1]."""
    levels = np.tanh(z @ WEIGHTS) * 127.5 + 128
    return levels.clip(0, 255).astype(np.uint8).reshape(-1, *SHAPE)


def flat(z: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.full((len(z), *SHAPE), 7, dtype=np.uint8)


def image(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)


def search(
    target: NDArray[np.uint8],
    z: NDArray[np.float32],
    *,
    budget: int,
    generator: Generator = curved,
    limit: float = 4.0,
) -> tuple[Refinement, list[NDArray[np.float32]]]:
    """A search that has ended, and all that it asked for."""
    found, asked = Refinement(target, z, limit=limit, budget=budget), []
    while len(rows := found.ask()):
        assert len(rows) <= found.most_rows
        asked.append(rows.copy())
        found.tell(generator(rows))
    return found, asked


@pytest.mark.parametrize("budget", [0, 1, 2, 3, 7, 20, 64, 256])
@pytest.mark.parametrize("seed", range(4))
def test_refinement_never_makes_it_worse_and_keeps_to_its_budget(budget: int, seed: int) -> None:
    z = np.random.default_rng(seed).normal(0, 1, DIM).astype(np.float32)
    found, asked = search(image(seed), z, budget=budget)
    assert found.error <= found.error_before
    assert found.evaluations == sum(map(len, asked)) - 1 <= budget
    assert np.array_equal(curved(found.latent[None])[0], found.pixels)
    apart = (found.pixels.astype(float) - image(seed)) / 255
    assert found.error == pytest.approx((apart**2).mean(), rel=1e-5)


def test_an_image_that_the_generator_can_make_is_found() -> None:
    chance = np.random.default_rng(5)
    true = chance.normal(0, 1, DIM).astype(np.float32)
    start = true + chance.normal(0, 0.5, DIM).astype(np.float32)
    found, _ = search(curved(true[None])[0], start, budget=256)
    assert found.error < found.error_before / 1000
    assert found.latent == pytest.approx(true, abs=0.1)


def test_the_image_alone_determines_the_search() -> None:
    z = np.zeros(DIM, dtype=np.float32)
    (one, asked), (again, asked_again) = (search(image(1), z, budget=64) for _ in range(2))
    assert np.array_equal(one.latent, again.latent)
    assert all(np.array_equal(a, b) for a, b in zip(asked, asked_again, strict=True))
    _, of_another = search(image(2), z, budget=64)
    assert not np.array_equal(asked[1], of_another[1])


def test_no_candidate_leaves_the_support_of_the_latent() -> None:
    outside = np.full(DIM, 9.0, dtype=np.float32)
    _, asked = search(image(3), outside, budget=200, limit=1.0)
    assert all(np.abs(rows).max() <= 1.0 for rows in asked)


def test_a_search_that_gets_nowhere_ends_early() -> None:
    found, _ = search(image(1), np.zeros(DIM, dtype=np.float32), budget=2048, generator=flat)
    assert found.error == found.error_before
    assert found.evaluations < 100


def test_a_perfect_guess_needs_no_search() -> None:
    z = np.ones(DIM, dtype=np.float32)
    found, asked = search(curved(z[None])[0], z, budget=256)
    assert (found.error, found.evaluations, len(asked)) == (0.0, 0, 1)
