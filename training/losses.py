"""The objectives of the game, as pure functions of logits; sigmoid(logit) is D's probability that an image is real.

Written with binary cross entropy as in Goodfellow et al. (2014), on logits, which is the numerically stable form.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

GeneratorLoss = Callable[[Tensor], Tensor]


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log D(x)] - E[log(1 - D(G(z)))], the negative of equation 1; logits float32 [n] -> scalar."""
    return cross_entropy(real, torch.ones_like(real)) + cross_entropy(fake, torch.zeros_like(fake))


def minimax_generator_loss(fake: Tensor) -> Tensor:
    """E[log(1 - D(G(z)))], what G minimises in equation 1; its gradient vanishes while D wins easily."""
    return -cross_entropy(fake, torch.zeros_like(fake))


def non_saturating_generator_loss(fake: Tensor) -> Tensor:
    """-E[log D(G(z))], the paper's remedy (section 3): the same fixed point, strong gradients early on."""
    return cross_entropy(fake, torch.ones_like(fake))


def class_loss(every: Tensor, class_id: Tensor) -> Tensor:
    """-E[log p(class)], the auxiliary classifier's loss L_C of Odena et al. (2017).

    The classifier is D itself: softmax over its logits under each class, float32 [n, classes], int64 [n] -> scalar.
    """
    return torch.nn.functional.cross_entropy(every, class_id)


GENERATOR_LOSSES: dict[str, GeneratorLoss] = {
    "minimax": minimax_generator_loss,
    "non-saturating": non_saturating_generator_loss,
}
