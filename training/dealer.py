"""What each step is played with: real images, latents, classes and the numbers that chance decides."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.augment import NUMBERS, augment
from training.chance import Purpose, stream
from training.data import ImageSet
from training.game import Game, to_floats
from training.losses import OBJECTIVES


@dataclass(frozen=True)
class Hand:
    """A part of a step: n real images float32 [n, c, h, w] in [-1, 1], n latents, their classes int64 [n] or None.

    `augmented` float32 [2, n, kinds, 5] and `between` float32 [n] are uniform numbers for augmentation and penalty.
    """

    real: Tensor
    real_class: Tensor | None
    z: Tensor
    fake_class: Tensor | None
    augmented: Tensor
    between: Tensor


class Dealer:
    """Deals every step's batch, in this process's share and in `config.accumulate` parts.

    The whole batch is drawn in each process, so that it is the same however many there are.
    """

    def __init__(self, game: Game, data: ImageSet) -> None:
        self._game = game
        self._images = torch.from_numpy(data.images).to(game.device)
        labelled = game.classes is not None and data.labels is not None
        self._labels = torch.from_numpy(data.labels).to(game.device) if labelled else None
        self._chosen = torch.zeros(0, dtype=torch.int64)
        # Scores of two classes do not compare: a loss of pairs has its opponents in one class (Huang et al., 2024).
        self._same_class = OBJECTIVES[game.config.loss].pairs and labelled

    def next_reals(self) -> None:
        """Go on to the next real images; until then every step sees the same ones."""
        self._chosen = torch.from_numpy(self._game.sampler.take(self._game.config.batch_size))

    def hands(self, latents: Purpose, augmentation: Purpose) -> Iterator[Hand]:
        """The parts of a step on the current real images, with latents of its own."""
        game, count = self._game, self._game.config.batch_size
        z, classes = self._latents(stream(game.config.seed, latents, game.images_seen), count)
        uniform = stream(game.config.seed, augmentation, game.images_seen)
        numbers = uniform.random((count, 2, len(game.config.augment), NUMBERS), dtype=np.float32)
        between = stream(game.config.seed, Purpose.PENALTY, game.images_seen).random(count, dtype=np.float32)
        parts = [self._chosen, z, classes, torch.from_numpy(numbers), torch.from_numpy(between)]
        shares = [game.team.share(part).chunk(game.config.accumulate) for part in parts]
        for chosen, z_part, class_part, numbers_part, between_part in zip(*shares, strict=True):
            index = chosen.to(game.device)
            real_class = None if self._labels is None else self._labels[index]
            fake_class = class_part.to(game.device) if game.classes is not None else None
            if self._same_class:
                fake_class = real_class
            yield Hand(
                real=to_floats(self._images[index]),
                real_class=real_class,
                z=z_part.to(game.device),
                fake_class=fake_class,
                augmented=numbers_part.to(game.device).transpose(0, 1),
                between=between_part.to(game.device),
            )

    def augment(self, images: Tensor, chance: Tensor, *, probability: float) -> Tensor:
        """`images` as D sees them."""
        return augment(images, self._game.config.augment, chance, probability=probability)

    def noise(self, like: Tensor) -> Tensor:
        """Uniform noise in [-1, 1] of the shape of `like`."""
        game = self._game
        uniform = stream(game.config.seed, Purpose.NOISE, game.images_seen).random(like.shape, dtype=np.float32)
        return torch.from_numpy(uniform * 2 - 1).to(like)

    def _latents(self, chance: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        config, size = self._game.config, (count, self._game.config.z_dim)
        if config.latent == "normal":
            z = chance.standard_normal(size, dtype=np.float32)
        else:
            z = chance.random(size, dtype=np.float32) * 2 - 1
        return torch.from_numpy(z), torch.from_numpy(chance.integers(len(self._game.classes or (None,)), size=count))
