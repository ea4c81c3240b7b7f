"""The adversarial game: algorithm 1 of Goodfellow et al. (2014)."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data import ImageSet
from training.errors import Diverged
from training.game import Game, to_floats
from training.losses import GENERATOR_LOSSES, class_loss, discriminator_loss


@dataclass(frozen=True)
class Report:
    """Means over the steps since the report before; `d_real` is D(x), `d_fake` is D(G(z)), both probabilities."""

    images_seen: int
    d_loss: float
    g_loss: float
    d_real: float
    d_fake: float
    images_per_s: float


def play(game: Game, data: ImageSet) -> Iterator[Report]:
    """Play until `config.kimg` thousand images were shown to D, and yield a report every `report_every_kimg`.

    The game may be saved whenever this yields. Raises Diverged when a loss is no longer finite.
    """
    config = game.config
    images = torch.from_numpy(data.images).to(game.device)
    labels = None if game.classes is None or data.labels is None else torch.from_numpy(data.labels).to(game.device)
    end, interval = round(config.kimg * 1000), round(config.report_every_kimg * 1000)
    sums, steps, since = torch.zeros(4, device=game.device), 0, game.images_seen
    started = time.perf_counter()
    while game.images_seen < end:
        _set_learning_rates(game)
        for _ in range(config.d_steps):
            d_loss, d_real, d_fake = _discriminator_step(game, images, labels)
        g_loss = _generator_step(game)
        game.ema.update(game.generator, batch_size=config.batch_size * config.d_steps, images_seen=game.images_seen)
        sums += torch.stack([d_loss, g_loss, d_real, d_fake])
        steps += 1
        if game.images_seen // interval > since // interval or game.images_seen >= end:
            means = (sums / steps).tolist()
            if not np.isfinite(means).all():
                raise Diverged(f"a loss became NaN or infinite near {game.images_seen / 1000:.0f} kimg")
            speed = (game.images_seen - since) / (time.perf_counter() - started)
            d_loss_mean, g_loss_mean, d_real_mean, d_fake_mean = means
            yield Report(game.images_seen, d_loss_mean, g_loss_mean, d_real_mean, d_fake_mean, speed)
            sums.zero_()
            steps, since, started = 0, game.images_seen, time.perf_counter()


def _discriminator_step(game: Game, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """One ascent of D on log D(x) + log(1 - D(G(z))); returns its loss, mean D(x) and mean D(G(z))."""
    chosen: NDArray[np.int64] = game.sampler.take(game.config.batch_size)
    index = torch.from_numpy(chosen).to(game.device)
    real, real_class = to_floats(images[index]), None if labels is None else labels[index]
    z, fake_class = game.draw(game.config.batch_size)
    with torch.no_grad():
        fake = game.generator(z, fake_class)
    noisy = round(game.config.noise_share * game.config.batch_size)
    if noisy:
        # G leaves noise behind early on, and D, seeing no more of it, comes to call it real.
        fake[:noisy] = (torch.rand(fake[:noisy].shape, generator=game.noise) * 2 - 1).to(fake)
    every = game.discriminator.logits(game.discriminator.features(real))
    real_logits, fake_logits = game.discriminator.choose(every, real_class), game.discriminator(fake, fake_class)
    loss = discriminator_loss(real_logits, fake_logits)
    game.d_optimizer.zero_grad()
    _with_class_loss(game, loss, every, real_class).backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
    game.d_optimizer.step()
    game.images_seen += game.config.batch_size
    return loss.detach(), real_logits.detach().sigmoid().mean(), fake_logits[noisy:].detach().sigmoid().mean()


def _generator_step(game: Game) -> Tensor:
    """One descent of G on its loss, with D held still; returns the loss."""
    z, fake_class = game.draw(game.config.batch_size)
    game.discriminator.requires_grad_(requires_grad=False)
    every = game.discriminator.logits(game.discriminator.features(game.generator(z, fake_class)))
    loss = GENERATOR_LOSSES[game.config.loss](game.discriminator.choose(every, fake_class))
    game.g_optimizer.zero_grad()
    _with_class_loss(game, loss, every, fake_class).backward()  # type: ignore[no-untyped-call]  # as above
    game.g_optimizer.step()
    game.discriminator.requires_grad_(requires_grad=True)
    return loss.detach()


def _with_class_loss(game: Game, loss: Tensor, every: Tensor, class_id: Tensor | None) -> Tensor:
    if class_id is None or not game.config.class_weight:
        return loss
    return loss + game.config.class_weight * class_loss(every, class_id)


def _set_learning_rates(game: Game) -> None:
    config = game.config
    left = 1 - game.images_seen / (config.kimg * 1000)
    factor = min(1.0, 2 * left) if config.lr_decay else 1.0
    for optimizer, rate in ((game.g_optimizer, config.g_lr), (game.d_optimizer, config.d_lr)):
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
