"""Training an encoder for a generator that is finished: pairs of z and image, and real images if there is a run."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from bundle import LatentSpec
from bundle.latents import latent_limit
from training.chance import Purpose, stream
from training.data import ImageSet, Sampler
from training.errors import Diverged
from training.game import to_floats
from training.networks import Discriminator, Generator
from training.networks.encoder import Encoder
from training.players import Players, TorchPlayers

_RECONSTRUCTION_WEIGHT = 10.0
"""Of the squared error of pixels, which is about a tenth of that of z, whose values have a variance of one."""
_FEATURE_WEIGHT = 1.0
_REPORTS = 20


@dataclass(frozen=True)
class Course:
    """How long an encoder is trained and how: thousands of images, rows per step, Adam's highest rate, the seed."""

    kimg: float = 400.0
    batch_size: int = 128
    lr: float = 2e-3
    seed: int = 0

    @property
    def steps(self) -> int:
        """Steps of the whole course, at least one."""
        return max(1, int(self.kimg * 1000) // self.batch_size)


@dataclass(frozen=True)
class Teacher:
    """A run's own networks, through which the error of a reconstruction has a gradient, and the real images to show."""

    generator: Generator
    discriminator: Discriminator
    images: ImageSet

    @classmethod
    def of_run(cls, players: TorchPlayers, images: ImageSet) -> "Teacher":
        """The networks of `players`, held still."""
        for network in (players.generator, players.discriminator):
            network.requires_grad_(requires_grad=False).eval()
        return cls(players.generator, players.discriminator, images)


def train_encoder(
    players: Players, course: Course, *, teacher: Teacher | None, report: Callable[[str], None]
) -> Encoder:
    """An encoder for the generator of `players`, in eval mode.

    Half of each batch, or all of it without a `teacher`, is made by the generator, and the loss is the squared error of
    z plus the cross-entropy of the class. The other half is real, and the loss is the squared error of the
    reconstruction, in pixels and in the discriminator's features, plus the cross-entropy where the real classes are
    those of the generator. Raises Diverged when the loss is no longer finite.
    """
    torch.manual_seed(course.seed)
    classes = len(players.classes or ())
    limit = latent_limit(players.latent)
    encoder = Encoder(shape=players.shape, z_dim=players.latent.dim, classes=classes, limit=limit)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=course.lr, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=course.lr, total_steps=course.steps + 1)
    reals = None if teacher is None else _Reals(teacher, players, course.seed)
    pairs = course.batch_size if reals is None else course.batch_size // 2
    began, every = time.monotonic(), max(1, course.steps // _REPORTS)
    for step in range(course.steps):
        z, class_ids = draw(players.latent, classes, pairs, seed=course.seed, step=step)
        images = players.images(z, class_ids)
        shown = images if reals is None else np.concatenate([images, reals.take(course.batch_size - pairs)])
        found, verdict = encoder(to_floats(shown))
        losses = {"z": mse_loss(found[:pairs], torch.from_numpy(z))}
        if verdict is not None and class_ids is not None:
            losses["class"] = cross_entropy(verdict[:pairs], torch.from_numpy(class_ids))
        if reals is not None:
            losses |= reals.losses(found[pairs:], None if verdict is None else verdict[pairs:])
        loss = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(loss):
            raise Diverged(f"the encoder's loss is no longer finite after {step * course.batch_size:,} images")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        optimizer.step()
        schedule.step()
        if (step + 1) % every == 0:
            seen = (step + 1) * course.batch_size
            told = "  ".join(f"{name} {value.item():.4f}" for name, value in losses.items())
            report(f"{seen / 1000:8.1f} kimg  {told}  {seen / (time.monotonic() - began):.0f} img/s")
    return encoder.eval()


def draw(
    latent: LatentSpec, classes: int, count: int, *, seed: int, step: int
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Latents float32 [count, dim] and classes int64 [count] (None without), of their own for each seed and step."""
    chance = stream(seed, Purpose.ENCODER_STEP, step)
    shape = (count, latent.dim)
    drawn = chance.standard_normal(shape) if latent.distribution == "normal" else chance.uniform(-1.0, 1.0, shape)
    return drawn.astype(np.float32), chance.integers(0, classes, count) if classes else None


class _Reals:
    """Real images in turn, and what their reconstructions lack."""

    def __init__(self, teacher: Teacher, players: Players, seed: int) -> None:
        self._teacher = teacher
        self._sampler = Sampler(len(teacher.images), seed)
        same = players.classes is not None and teacher.images.classes == players.classes
        self._labels = teacher.images.labels if same else None
        self._index: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def take(self, count: int) -> NDArray[np.uint8]:
        """The next images, uint8 [count, height, width, channels]."""
        self._index = self._sampler.take(count)
        return self._teacher.images.images[self._index]

    def losses(self, z: Tensor, verdict: Tensor | None) -> dict[str, Tensor]:
        """The losses of z and class logits that were found for the images last taken."""
        teacher, losses = self._teacher, {}
        class_id = None
        if verdict is not None:
            class_id = verdict.argmax(dim=1)
            if self._labels is not None:
                class_id = torch.from_numpy(self._labels[self._index])
                losses["real class"] = cross_entropy(verdict, class_id)
        real = to_floats(teacher.images.images[self._index])
        made = teacher.generator(z, class_id)
        losses["pixels"] = _RECONSTRUCTION_WEIGHT * mse_loss(made, real)
        with torch.no_grad():
            wanted = teacher.discriminator.features(real)
        spread = wanted.var(dim=0).mean().clamp(min=1e-6)
        losses["features"] = _FEATURE_WEIGHT * mse_loss(teacher.discriminator.features(made), wanted) / spread
        return losses
