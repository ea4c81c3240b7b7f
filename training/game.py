"""The two players and everything they carry from step to step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bundle.manifest import LatentSpec
from training.config import TrainingConfig
from training.data import ImageSet, Sampler
from training.ema import Ema
from training.errors import ConfigError
from training.networks import FAMILIES, Discriminator, Generator


@dataclass
class Game:
    """A generator, a discriminator, their optimizers, the smoothed generator, and the sources of chance."""

    config: TrainingConfig
    shape: tuple[int, int, int]
    classes: tuple[str, ...] | None
    device: torch.device
    generator: Generator
    discriminator: Discriminator
    g_optimizer: torch.optim.Adam
    d_optimizer: torch.optim.Adam
    ema: Ema[Generator]
    sampler: Sampler
    noise: torch.Generator
    images_seen: int = 0
    images_before: int = 0
    """Images that the networks had seen when this run began with them."""

    @property
    def latent(self) -> LatentSpec:
        """The distribution of z."""
        return LatentSpec(distribution=self.config.latent, dim=self.config.z_dim)

    def draw(self, count: int) -> tuple[Tensor, Tensor | None]:
        """Latents float32 [count, z_dim], and classes int64 [count] uniformly drawn when the game has classes."""
        size = (count, self.config.z_dim)
        if self.config.latent == "normal":
            z = torch.randn(size, generator=self.noise)
        else:
            z = torch.rand(size, generator=self.noise) * 2 - 1
        if self.classes is None:
            return z.to(self.device), None
        labels = torch.randint(len(self.classes), (count,), generator=self.noise)
        return z.to(self.device), labels.to(self.device)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on as if nothing had happened."""
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        return {
            "config": self.config.model_dump_json(),
            "shape": list(self.shape),
            "classes": None if self.classes is None else list(self.classes),
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "ema": self.ema.network.state_dict(),
            "g_optimizer": self.g_optimizer.state_dict(),
            "d_optimizer": self.d_optimizer.state_dict(),
            "sampler_position": self.sampler.position,
            "noise": self.noise.get_state(),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": cuda,
            "images_seen": self.images_seen,
            "images_before": self.images_before,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up `state`, made by `state()` of a game of the same settings."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.ema.network.load_state_dict(state["ema"])
        self.g_optimizer.load_state_dict(state["g_optimizer"])
        self.d_optimizer.load_state_dict(state["d_optimizer"])
        self.sampler.position = state["sampler_position"]
        self.noise.set_state(state["noise"])
        torch.set_rng_state(state["torch_rng"])
        if state["cuda_rng"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)
        self.images_seen = state["images_seen"]
        self.images_before = state.get("images_before", 0)


def new_game(config: TrainingConfig, data: ImageSet) -> Game:
    """A fresh game for `config` on `data`; raises ConfigError when the two do not go together."""
    device = pick_device(config.device)
    torch.manual_seed(config.seed)
    classes = data.classes if config.conditional else None
    generator, discriminator = build_networks(config, data.shape, classes)
    layout: Any = {"device": device, "memory_format": torch.channels_last}
    generator.to(**layout)
    discriminator.to(**layout)
    betas = (config.beta1, config.beta2)
    return Game(
        config=config,
        shape=data.shape,
        classes=classes,
        device=device,
        generator=generator,
        discriminator=discriminator,
        g_optimizer=torch.optim.Adam(generator.parameters(), lr=config.g_lr, betas=betas),
        d_optimizer=torch.optim.Adam(discriminator.parameters(), lr=config.d_lr, betas=betas),
        ema=Ema(generator, half_life_images=config.ema_half_life_kimg * 1000),
        sampler=Sampler(len(data), config.seed),
        noise=torch.Generator().manual_seed(config.seed + 1),
    )


def build_networks(
    config: TrainingConfig, shape: tuple[int, int, int], classes: tuple[str, ...] | None
) -> tuple[Generator, Discriminator]:
    """The networks of `config` with fresh weights; raises ConfigError for a size that the family cannot make."""
    family, count = FAMILIES[config.network], len(classes or ())
    try:
        generator = family.generator(z_dim=config.z_dim, shape=shape, classes=count, width=config.generator_width)
        discriminator = family.discriminator(shape=shape, classes=count, width=config.discriminator_width)
    except ValueError as error:
        raise ConfigError(f"network {config.network}: {error}") from None
    return generator, discriminator


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one; raises ConfigError for a CUDA that is not there."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("device cuda: torch finds no usable GPU")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def to_floats(images: np.ndarray[Any, np.dtype[np.uint8]] | Tensor) -> Tensor:
    """uint8 NHWC pixels -> float32 NCHW in [-1, 1]: (x - 127.5) / 127.5, the inverse of the exported pixel head."""
    pixels = torch.as_tensor(images).permute(0, 3, 1, 2)
    return (pixels.to(torch.float32) - 127.5) / 127.5
