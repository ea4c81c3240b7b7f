"""Penalties on the discriminator's gradient with respect to its images, each scalar and without its weight."""

from collections.abc import Callable

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]
"""Images float32 [n, c, h, w] -> logits float32 [n]."""


def squared_gradient(logits: Tensor, images: Tensor) -> Tensor:
    """E[|grad D|^2] / 2: R1 on real images, R2 on generated ones (Mescheder et al., 2018, equation 9).

    `logits` float32 [n] must have been made from `images`, which ask for a gradient, row by row.
    """
    return _gradients(logits, images).square().sum(dim=1).mean() / 2


def gradient_penalty(score: Score, real: Tensor, fake: Tensor, where: Tensor) -> Tensor:
    """E[(|grad D| - 1)^2] between real and generated images (Gulrajani et al., 2017, equation 3).

    `where` float32 [n] in [0, 1] says how far each image lies on the way from the generated to the real one.
    """
    between = torch.lerp(fake, real, where.view(-1, 1, 1, 1)).detach().requires_grad_()
    norms: Tensor = torch.linalg.vector_norm(_gradients(score(between), between), dim=1)
    return (norms - 1).square().mean()


def _gradients(logits: Tensor, images: Tensor) -> Tensor:
    (gradients,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradients.flatten(1)
