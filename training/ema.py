"""The exponential moving average of the generator, which is what gets exported."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

from training.schedules import cosine

N = TypeVar("N", bound=nn.Module)


class Ema(Generic[N]):
    """A smoothed copy of a network.

    The decay is given as a half-life in images, so it does not depend on the batch size. It is never longer than `ramp`
    times the images seen, so that the average forgets the random start (Karras et al., 2020), and grows from zero over
    the first `burn_in_images`.
    """

    def __init__(self, network: N, *, half_life_images: float, ramp: float = 0.05, burn_in_images: float = 0.0) -> None:
        self.network: N = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        self._half_life_images = half_life_images
        self._ramp = ramp
        self._burn_in_images = burn_in_images

    @torch.no_grad()
    def update(self, network: nn.Module, *, batch_size: int, images_seen: int) -> None:
        """Move towards `network` after a step on `batch_size` images; buffers are averaged or copied too."""
        longest = self._half_life_images
        if self._burn_in_images:
            longest = cosine(0.0, longest, images_seen / self._burn_in_images)
        decay = 0.5 ** (batch_size / max(min(longest, self._ramp * images_seen), 1e-8))
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1 - decay)
        for mean, current in zip(self.network.buffers(), network.buffers(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(current, 1 - decay)
            else:
                mean.copy_(current)
