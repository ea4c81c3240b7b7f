import pytest
import torch
from torch import Tensor, nn

from training.networks import FAMILIES
from training.penalties import gradient_penalty, squared_gradient


def _linear(weights: Tensor) -> nn.Module:
    linear = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        linear.weight.copy_(weights[None])
    return nn.Sequential(nn.Flatten(), linear, nn.Flatten(0)).double()


def test_r1_of_a_linear_score_is_half_its_squared_length() -> None:
    weights = torch.tensor([1.0, -2.0, 0.0, 2.0], dtype=torch.float64)
    images = torch.randn(5, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert squared_gradient(_linear(weights)(images), images).item() == pytest.approx(9 / 2)


def test_r1_of_a_quadratic_score_is_its_hand_computed_value() -> None:
    # D(x) = sum x^2 has the gradient 2x; two images of |x|^2 = 4 and 16: (4 * 4 + 4 * 16) / 2 / 2.
    images = torch.stack([torch.full((1, 2, 2), 1.0), torch.full((1, 2, 2), -2.0)]).double().requires_grad_()
    assert squared_gradient(images.square().sum(dim=(1, 2, 3)), images).item() == pytest.approx(20.0)


def test_gradient_penalty_of_a_linear_score_is_its_length_less_one_squared() -> None:
    network = _linear(torch.tensor([1.0, -2.0, 0.0, 2.0], dtype=torch.float64))
    real, fake = torch.randn(2, 5, 1, 2, 2, dtype=torch.float64)
    assert gradient_penalty(network, real, fake, torch.rand(5).double()).item() == pytest.approx(4.0)


@pytest.mark.parametrize(("where", "squared"), [(0.0, 4.0), (1.0, 16.0), (0.5, 9.0)])
def test_gradient_penalty_looks_where_it_is_told_between_the_two(where: float, squared: float) -> None:
    # At the generated image |x| is 2, at the real one 4; the gradient of sum x^2 has twice that length.
    fake, real = torch.full((1, 1, 2, 2), 1.0).double(), torch.full((1, 1, 2, 2), 2.0).double()
    penalty = gradient_penalty(lambda x: x.square().sum(dim=(1, 2, 3)), real, fake, torch.tensor([where]).double())
    assert penalty.item() == pytest.approx((2 * squared**0.5 - 1) ** 2)


def _tiny(family: str) -> nn.Module:
    torch.manual_seed(0)
    shape, width = ((8, 8, 1), 16) if family != "mlp" else ((4, 4, 1), 10)
    network = FAMILIES[family].discriminator(shape=shape, classes=2, width=width)
    for parameter in network.parameters():  # one that starts at zero hides what is behind it
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return network.double().eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_penalties_have_the_gradient_that_their_values_say(family: str) -> None:
    network = _tiny(family)
    size = 4 if family == "mlp" else 8
    images, class_id = torch.randn(2, 1, size, size, dtype=torch.float64), torch.tensor([0, 1])
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    chosen = max(weights, key=lambda weight: weight.numel() if weight.numel() < 300 else 0)

    def r1(_: Tensor) -> Tensor:
        seen = images.clone().requires_grad_()
        return squared_gradient(network(seen, class_id), seen)

    def between(_: Tensor) -> Tensor:
        return gradient_penalty(lambda x: network(x, class_id), images, -images, torch.tensor([0.3, 0.8]).double())

    assert torch.autograd.gradcheck(r1, (chosen,), eps=1e-6, atol=1e-6)
    assert torch.autograd.gradcheck(between, (chosen,), eps=1e-6, atol=1e-6)
