import math

import pytest
import torch

from training.losses import OBJECTIVES, class_loss, discriminator_loss, minimax_generator_loss
from training.losses import non_saturating_generator_loss as non_saturating

REAL = torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64)
FAKE = torch.tensor([1.5, 0.5, -1.0], dtype=torch.float64)


def _d(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def _softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def _cross_entropy() -> float:
    return -sum(math.log(_d(x)) for x in REAL.tolist()) / 3 - sum(math.log(1 - _d(x)) for x in FAKE.tolist()) / 3


def test_discriminator_loss_at_equilibrium_is_log_4() -> None:
    half = torch.zeros(5, dtype=torch.float64)
    assert discriminator_loss(half, half).item() == pytest.approx(math.log(4))


@pytest.mark.parametrize(
    ("name", "for_d", "for_g"),
    [
        ("minimax", _cross_entropy(), (math.log(1 - _d(1.5)) + math.log(1 - _d(0.5)) + math.log(1 - _d(-1.0))) / 3),
        ("non-saturating", _cross_entropy(), -(math.log(_d(1.5)) + math.log(_d(0.5)) + math.log(_d(-1.0))) / 3),
        # (9 + 1 + 4) / 3 / 2 + (6.25 + 2.25 + 0) / 3 / 2, and (2.25 + 0.25 + 1) / 3 / 2
        ("least-squares", 14 / 6 + 8.5 / 6, 3.5 / 6),
        # (3 + 1 + 0) / 3 + (2.5 + 1.5 + 0) / 3
        ("hinge", 8 / 3, -1 / 3),
        ("wasserstein", 1 / 3 - 1 / 3, -1 / 3),
        (
            "relativistic",
            (_softplus(3.5) + _softplus(0.5) + _softplus(-4.0)) / 3,
            (_softplus(-3.5) + _softplus(-0.5) + _softplus(4.0)) / 3,
        ),
    ],
)
def test_a_loss_is_its_formula(name: str, for_d: float, for_g: float) -> None:
    objective = OBJECTIVES[name]
    assert objective.discriminator(REAL, FAKE).item() == pytest.approx(for_d, rel=1e-12, abs=1e-15)
    assert objective.generator(FAKE, REAL).item() == pytest.approx(for_g, rel=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_g_gains_where_d_scores_its_images_higher_and_d_where_it_tells_them_apart(name: str) -> None:
    objective = OBJECTIVES[name]
    fake, real = (torch.full((4,), logit, requires_grad=True) for logit in (-0.5, 0.5))
    objective.generator(fake, real).backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
    assert fake.grad is not None
    assert fake.grad.max() < 0  # a step against the gradient raises the score
    for_real, for_fake = torch.autograd.grad(objective.discriminator(real, fake), (real, fake))
    assert for_real.max() < 0 < for_fake.min()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_only_a_loss_that_pairs_looks_at_real_images_when_g_plays(name: str) -> None:
    objective = OBJECTIVES[name]
    differs = objective.generator(FAKE, REAL) != objective.generator(FAKE, REAL + 1)
    assert bool(differs) == objective.pairs


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_loss_has_the_gradient_that_its_values_say(name: str) -> None:
    objective = OBJECTIVES[name]
    real, fake = (REAL + 0.1).requires_grad_(), (FAKE + 0.1).requires_grad_()  # off the hinge's kinks
    assert torch.autograd.gradcheck(objective.discriminator, (real, fake))
    assert torch.autograd.gradcheck(objective.generator, (fake, real))


@pytest.mark.parametrize("name", ["minimax", "non-saturating", "relativistic"])
def test_losses_stay_finite_where_d_is_certain(name: str) -> None:
    certain, other = torch.tensor([-1e4, 1e4]), torch.tensor([1e4, -1e4])
    assert torch.isfinite(OBJECTIVES[name].generator(certain, other))
    assert torch.isfinite(OBJECTIVES[name].discriminator(certain, other))


def test_minimax_gradient_vanishes_where_d_wins_and_the_non_saturating_one_does_not() -> None:
    gradients = []
    for loss in (minimax_generator_loss, non_saturating):
        logit = torch.full((1,), -10.0, requires_grad=True)
        loss(logit, logit).backward()  # type: ignore[no-untyped-call]  # as above
        assert logit.grad is not None
        gradients.append(logit.grad.item())
    minimax, strong = gradients
    assert -1e-4 < minimax < 0
    assert strong < -0.99


def test_class_loss_is_the_negative_mean_log_softmax_of_the_class() -> None:
    every = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], dtype=torch.float64)
    expected = 0.0
    for row, chosen in zip(every.tolist(), (1, 0), strict=True):
        expected -= math.log(math.exp(row[chosen]) / sum(map(math.exp, row))) / 2
    assert class_loss(every, torch.tensor([1, 0])).item() == pytest.approx(expected, rel=1e-12)
