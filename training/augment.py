"""Differentiable augmentation of what D sees, real and generated alike (Zhao et al., 2020), and its probability.

Each kind is applied to each image with probability p, on its own. Nothing is flipped unless that is asked for: a
mirrored digit is no digit.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

Kind = Callable[[Tensor, Tensor], Tensor]
"""Images float32 [n, c, h, w] and uniform numbers float32 [n, 4] in [0, 1) -> images of the same shape."""

NUMBERS = 5
"""Uniform numbers that one kind takes for one image: one to decide whether, four to decide how."""


def colour(images: Tensor, chance: Tensor) -> Tensor:
    """Brightness by up to 0.5 either way, saturation by a factor up to 2, contrast by one from 0.5 to 1.5.

    Pixels are in [-1, 1], so that 0.5 is a quarter of all grey levels.
    """
    brightness, saturation, contrast = (chance[:, number].view(-1, 1, 1, 1) for number in range(3))
    images = images + (brightness - 0.5)
    if images.shape[1] > 1:
        grey = images.mean(dim=1, keepdim=True)
        images = (images - grey) * (2 * saturation) + grey
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - middle) * (contrast + 0.5) + middle


def translation(images: Tensor, chance: Tensor) -> Tensor:
    """A shift by whole pixels, up to an eighth of the side each way; black comes in."""
    height, width = images.shape[2:]
    down = (chance[:, 0] * (2 * (height // 8) + 1)).floor() - height // 8
    right = (chance[:, 1] * (2 * (width // 8) + 1)).floor() - width // 8
    rows = torch.arange(height, device=images.device) - down[:, None].long()
    columns = torch.arange(width, device=images.device) - right[:, None].long()
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    each = torch.arange(len(images), device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[
        each, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
    ].permute(0, 3, 1, 2)
    return torch.where(inside[:, None], moved, -torch.ones_like(moved))


def cutout(images: Tensor, chance: Tensor) -> Tensor:
    """A square of half the side, centred anywhere, painted mid-grey (DeVries and Taylor, 2017)."""
    height, width = images.shape[2:]
    top = (chance[:, 0] * (height + 1)).floor() - height // 4
    left = (chance[:, 1] * (width + 1)).floor() - width // 4
    rows = torch.arange(height, device=images.device) - top[:, None]
    columns = torch.arange(width, device=images.device) - left[:, None]
    cut = ((rows >= 0) & (rows < height // 2))[:, :, None] & ((columns >= 0) & (columns < width // 2))[:, None, :]
    return images * ~cut[:, None]


def flip(images: Tensor, chance: Tensor) -> Tensor:
    """Left and right changed, for one image in two."""
    return torch.where((chance[:, 0] < 0.5).view(-1, 1, 1, 1), images.flip(3), images)


def rotation(images: Tensor, chance: Tensor) -> Tensor:
    """A turn by up to ten degrees and a scale by up to a tenth either way, bilinear; black comes in."""
    angle, scale = (chance[:, 0] - 0.5) * (torch.pi / 9), 1 + (chance[:, 1] - 0.5) / 5
    cosine, sine, none = angle.cos() * scale, angle.sin() * scale, torch.zeros_like(angle)
    matrix = torch.stack([torch.stack([cosine, -sine, none], 1), torch.stack([sine, cosine, none], 1)], 1)
    grid = affine_grid(matrix, list(images.shape), align_corners=False)
    # What comes in is zero; shifted by one, that is black.
    return grid_sample(images + 1, grid, mode="bilinear", padding_mode="zeros", align_corners=False) - 1


KINDS: dict[str, Kind] = {
    "colour": colour,
    "translation": translation,
    "cutout": cutout,
    "rotation": rotation,
    "flip": flip,
}


def augment(images: Tensor, kinds: Sequence[str], chance: Tensor, *, probability: float) -> Tensor:
    """`images` float32 [n, c, h, w] with each of `kinds` applied to each image with `probability`.

    `chance` float32 [n, len(kinds), 5] in [0, 1) decides; the gradient passes through to the images.
    """
    for index, kind in enumerate(kinds):
        numbers = chance[:, index]
        chosen = (numbers[:, 0] < probability).view(-1, 1, 1, 1)
        images = torch.where(chosen, KINDS[kind](images, numbers[:, 1:]), images)
    return images


class AdaptiveProbability:
    """ADA's controller (Karras et al., 2020): more augmentation while D is too sure of the training images.

    The sign of D's logits on real images, in [-1, 1] on average, is compared with `target` once every four batches; the
    probability moves towards where they agree, by as much as would take it from 0 to 1 over 500 kimg.
    """

    EVERY = 4
    SPAN_IMAGES = 500_000

    def __init__(self, target: float) -> None:
        self.target = target
        self.probability = 0.0
        self.signs = 0.0
        self.batches = 0

    def saw(self, mean_sign: float, *, images: int) -> None:
        """Take in a batch of `images` real ones, on which the mean of the signs was `mean_sign`."""
        self.signs += mean_sign
        self.batches += 1
        if self.batches == self.EVERY:
            step = images * self.EVERY / self.SPAN_IMAGES
            self.probability += step if self.signs / self.EVERY > self.target else -step
            self.probability = min(max(self.probability, 0.0), 1.0)
            self.signs, self.batches = 0.0, 0
