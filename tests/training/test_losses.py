import math

import pytest
import torch

from training.losses import class_loss, discriminator_loss, minimax_generator_loss, non_saturating_generator_loss

LOGITS = torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64)


def _d(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def test_discriminator_loss_is_the_negative_of_equation_1() -> None:
    real, fake = LOGITS, LOGITS.flip(0) * 0.5
    expected = -sum(math.log(_d(x)) for x in real.tolist()) / 3 - sum(math.log(1 - _d(x)) for x in fake.tolist()) / 3
    assert discriminator_loss(real, fake).item() == pytest.approx(expected, rel=1e-12)


def test_discriminator_loss_at_equilibrium_is_log_4() -> None:
    half = torch.zeros(5, dtype=torch.float64)
    assert discriminator_loss(half, half).item() == pytest.approx(math.log(4))


def test_minimax_loss_is_the_mean_log_of_one_minus_d() -> None:
    expected = sum(math.log(1 - _d(x)) for x in LOGITS.tolist()) / 3
    assert minimax_generator_loss(LOGITS).item() == pytest.approx(expected, rel=1e-12)


def test_non_saturating_loss_is_the_negative_mean_log_of_d() -> None:
    expected = -sum(math.log(_d(x)) for x in LOGITS.tolist()) / 3
    assert non_saturating_generator_loss(LOGITS).item() == pytest.approx(expected, rel=1e-12)


def test_minimax_gradient_vanishes_where_d_wins_and_the_non_saturating_one_does_not() -> None:
    gradients = []
    for loss in (minimax_generator_loss, non_saturating_generator_loss):
        logit = torch.full((1,), -10.0, requires_grad=True)
        loss(logit).backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        assert logit.grad is not None
        gradients.append(logit.grad.item())
    minimax, non_saturating = gradients
    assert -1e-4 < minimax < 0
    assert non_saturating < -0.99


def test_class_loss_is_the_negative_mean_log_softmax_of_the_class() -> None:
    every = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], dtype=torch.float64)
    expected = 0.0
    for row, chosen in zip(every.tolist(), (1, 0), strict=True):
        expected -= math.log(math.exp(row[chosen]) / sum(map(math.exp, row))) / 2
    assert class_loss(every, torch.tensor([1, 0])).item() == pytest.approx(expected, rel=1e-12)
