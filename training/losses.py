"""The objectives of the game, as pure functions of logits float32 [n] to scalars.

Under the cross entropies sigmoid(logit) is D's probability that an image is real; under the others a logit is a score
that is higher for real images, with zero between the two (the Wasserstein and relativistic ones leave its offset free).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import relu, softplus


@dataclass(frozen=True)
class Objective:
    """What both players minimise: `discriminator(real, fake)` and `generator(fake, real)`, of logits of equal length.

    `pairs` says that G's loss looks at the logits of real images too.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    pairs: bool = False


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log D(x)] - E[log(1 - D(G(z)))], the negative of equation 1 of Goodfellow et al. (2014)."""
    return cross_entropy(real, torch.ones_like(real)) + cross_entropy(fake, torch.zeros_like(fake))


def minimax_generator_loss(fake: Tensor, _real: Tensor) -> Tensor:
    """E[log(1 - D(G(z)))], what G minimises in equation 1; its gradient vanishes while D wins easily."""
    return -cross_entropy(fake, torch.zeros_like(fake))


def non_saturating_generator_loss(fake: Tensor, _real: Tensor) -> Tensor:
    """-E[log D(G(z))], the paper's remedy (section 3): the same fixed point, strong gradients early on."""
    return cross_entropy(fake, torch.ones_like(fake))


def least_squares_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E[(D(x) - 1)^2] / 2 + E[(D(G(z)) + 1)^2] / 2 (Mao et al., 2017, equation 8)."""
    return ((real - 1).square().mean() + (fake + 1).square().mean()) / 2


def least_squares_generator_loss(fake: Tensor, _real: Tensor) -> Tensor:
    """E[D(G(z))^2] / 2: to the boundary between the two, and no further (the same equation)."""
    return fake.square().mean() / 2


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))] (Lim and Ye, 2017; Miyato et al., 2018, equation 16)."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E[D(G(z))] - E[D(x)], the negative of the Wasserstein distance's dual (Arjovsky et al., 2017)."""
    return fake.mean() - real.mean()


def critic_generator_loss(fake: Tensor, _real: Tensor) -> Tensor:
    """-E[D(G(z))], G's loss in the Wasserstein and hinge games."""
    return -fake.mean()


def relativistic_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E[softplus(D(G(z)) - D(x))] over pairs (Jolicoeur-Martineau, 2019; Huang et al., 2024, equation 2)."""
    return softplus(fake - real).mean()


def relativistic_generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """E[softplus(D(x) - D(G(z)))], the same with the roles changed."""
    return softplus(real - fake).mean()


def class_loss(every: Tensor, class_id: Tensor) -> Tensor:
    """-E[log p(class)], the auxiliary classifier's loss L_C of Odena et al. (2017).

    The classifier is D itself: softmax over its logits under each class, float32 [n, classes], int64 [n] -> scalar.
    """
    return torch.nn.functional.cross_entropy(every, class_id)


OBJECTIVES: dict[str, Objective] = {
    "minimax": Objective(discriminator_loss, minimax_generator_loss),
    "non-saturating": Objective(discriminator_loss, non_saturating_generator_loss),
    "least-squares": Objective(least_squares_discriminator_loss, least_squares_generator_loss),
    "hinge": Objective(hinge_discriminator_loss, critic_generator_loss),
    "wasserstein": Objective(critic_loss, critic_generator_loss),
    "relativistic": Objective(relativistic_discriminator_loss, relativistic_generator_loss, pairs=True),
}
