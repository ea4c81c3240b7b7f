"""Goodfellow et al. (2014), propositions 1 and 2, in one dimension, where both sides are known."""

import pytest
import torch

from training.equilibrium import (
    GAUSSIAN,
    TWO_GAUSSIANS,
    Mixture,
    OneDimensionalGame,
    fit_discriminator,
    optimal_discriminator,
    wasserstein_distance,
)

X = torch.linspace(-5, 5, 501)
DENSITIES = pytest.mark.parametrize("data", [GAUSSIAN, TWO_GAUSSIANS], ids=["gaussian", "two-gaussians"])


@DENSITIES
def test_a_density_its_draws_and_its_quantiles_are_one_distribution(data: Mixture) -> None:
    assert torch.trapezoid(data.density(X), X).item() == pytest.approx(1, abs=1e-3)
    drawn = data.sample(20_000, torch.Generator().manual_seed(0))[:, 0]
    assert wasserstein_distance(drawn, data) < 0.05
    assert wasserstein_distance(data.quantiles(1000), data) == 0


def test_the_distance_of_a_shifted_density_is_the_shift() -> None:
    assert wasserstein_distance(GAUSSIAN.quantiles(1000) + 0.7, GAUSSIAN) == pytest.approx(0.7, abs=1e-5)


def test_the_optimal_d_says_one_half_where_p_g_is_p_data_and_nowhere_else() -> None:
    p = GAUSSIAN.density(X[200:400])
    assert torch.allclose(optimal_discriminator(p, p), torch.tensor(0.5))
    assert optimal_discriminator(torch.tensor(3.0), torch.tensor(1.0)).item() == 0.75


@DENSITIES
def test_proposition_1_a_trained_d_is_the_ratio_of_the_densities_where_g_is_held_still(data: Mixture) -> None:
    generated = Mixture(((0.0, 1.0),))
    discriminator = fit_discriminator(data, generated, steps=800, seed=0)
    with torch.no_grad():
        found = discriminator(X[:, None])[:, 0].sigmoid()
    p_data, p_generated = data.density(X), generated.density(X)
    visited = p_data + p_generated > 0.05  # D is told nothing about places where neither has mass
    error = (found - optimal_discriminator(p_data, p_generated)).abs()[visited]
    assert error.mean() < 0.05
    assert error.max() < 0.2


@pytest.mark.parametrize(
    "data", [GAUSSIAN, pytest.param(TWO_GAUSSIANS, marks=pytest.mark.slow)], ids=["gaussian", "two-gaussians"]
)
def test_proposition_2_p_g_comes_to_p_data_and_d_to_one_half(data: Mixture) -> None:
    steps = 400 if data == GAUSSIAN else 1200
    game = OneDimensionalGame(data, steps=steps, seed=0)
    before = game.moment(X)
    game.play(until=steps)
    after = game.moment(X)
    assert before.wasserstein > 0.8
    assert after.wasserstein < 0.2
    assert after.d_fake == pytest.approx(0.5, abs=0.05)
    astray = (after.d - 0.5).abs() * after.p_data
    assert astray.sum() / after.p_data.sum() < 0.1


def test_a_game_repeats_with_its_seed_and_is_another_with_another() -> None:
    ends = []
    for seed in (1, 1, 2):
        game = OneDimensionalGame(GAUSSIAN, steps=10, seed=seed)
        game.play(until=10)
        ends.append(game.moment(X).mapped)
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])
