"""The two players and everything they carry from step to step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bundle.manifest import LatentSpec
from training.augment import AdaptiveProbability
from training.checkpoint import State
from training.config import TrainingConfig
from training.data import ImageSet, Sampler
from training.ema import Ema
from training.errors import CheckpointError, ConfigError
from training.networks import FAMILIES, Discriminator, Generator
from training.team import Team


@dataclass
class Game:
    """A generator, a discriminator, their optimizers, the smoothed generator, and how far they have come.

    All chance is a function of the seed and of the images seen (`training.chance`), so there is none to carry.
    """

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
    adaptive: AdaptiveProbability | None = None
    team: Team = field(default_factory=Team)
    images_seen: int = 0
    images_before: int = 0
    """Images that the networks had seen when this run began with them."""

    @property
    def latent(self) -> LatentSpec:
        """The distribution of z."""
        return LatentSpec(distribution=self.config.latent, dim=self.config.z_dim)

    def state(self) -> State:
        """All that is needed to go on as if nothing had happened."""
        tensors = _below("generator", self.generator.state_dict())
        tensors |= _below("discriminator", self.discriminator.state_dict())
        tensors |= _below("ema", self.ema.network.state_dict())
        tensors |= _below("g_optimizer", _moments(self.generator, self.g_optimizer))
        tensors |= _below("d_optimizer", _moments(self.discriminator, self.d_optimizer))
        adaptive = self.adaptive
        facts = {
            "config": self.config.model_dump(mode="json"),
            "shape": list(self.shape),
            "classes": None if self.classes is None else list(self.classes),
            "images_seen": self.images_seen,
            "images_before": self.images_before,
            "sampler_position": self.sampler.position,
            "adaptive": None if adaptive is None else [adaptive.probability, adaptive.signs, adaptive.batches],
        }
        return State(tensors, facts)

    def restore(self, state: State) -> None:
        """Take up `state`, made by `state()` of a game of the same settings; raises CheckpointError for another one."""
        try:
            self.generator.load_state_dict(state.part("generator"))
            self.discriminator.load_state_dict(state.part("discriminator"))
            self.ema.network.load_state_dict(state.part("ema"))
            _take_moments(self.generator, self.g_optimizer, state.part("g_optimizer"))
            _take_moments(self.discriminator, self.d_optimizer, state.part("d_optimizer"))
            facts = state.facts
            self.sampler.position = facts["sampler_position"]
            self.images_seen, self.images_before = facts["images_seen"], facts["images_before"]
            if self.adaptive is not None:
                self.adaptive.probability, self.adaptive.signs, self.adaptive.batches = facts["adaptive"]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint is of other networks than these settings make: {error}") from None


def new_game(
    config: TrainingConfig, data: ImageSet, *, team: Team | None = None, device: torch.device | None = None
) -> Game:
    """A fresh game for `config` on `data`; raises ConfigError when the two do not go together."""
    place = device or pick_device(config.device)
    torch.manual_seed(config.seed)
    classes = data.classes if config.conditional else None
    generator, discriminator = build_networks(config, data.shape, classes)
    layout: Any = {"device": place, "memory_format": torch.channels_last}
    generator.to(**layout)
    discriminator.to(**layout)
    settings: dict[str, Any] = {"betas": (config.beta1, config.beta2), "fused": True}
    return Game(
        config=config,
        shape=data.shape,
        classes=classes,
        device=place,
        generator=generator,
        discriminator=discriminator,
        g_optimizer=torch.optim.Adam(generator.parameters(), lr=config.g_lr, **settings),
        d_optimizer=torch.optim.Adam(discriminator.parameters(), lr=config.d_lr, **settings),
        ema=Ema(
            generator,
            half_life_images=config.ema_half_life_kimg * 1000,
            ramp=config.ema_ramp,
            burn_in_images=config.burnt_in_at,
        ),
        sampler=Sampler(len(data), config.seed),
        adaptive=None if config.augment_target is None else AdaptiveProbability(config.augment_target),
        team=team or Team(),
    )


def build_networks(
    config: TrainingConfig, shape: tuple[int, int, int], classes: tuple[str, ...] | None
) -> tuple[Generator, Discriminator]:
    """The networks of `config` with fresh weights; raises ConfigError for what the family cannot make."""
    family, count = FAMILIES[config.network], len(classes or ())
    chosen = {"blocks": config.blocks, "spectral_norm": config.spectral_norm}
    for name, value in chosen.items():
        if name not in family.options and value != TrainingConfig.model_fields[name].default:
            raise ConfigError(f"{name}: network {config.network} leaves no choice")
    both = {name: value for name, value in chosen.items() if name in family.options}
    generators = {name: value for name, value in both.items() if name != "spectral_norm"}
    try:
        generator = family.generator(
            z_dim=config.z_dim, shape=shape, classes=count, width=config.generator_width, **generators
        )
        discriminator = family.discriminator(shape=shape, classes=count, width=config.discriminator_width, **both)
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


def _below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for key, value in tensors.items()}


def _moments(network: nn.Module, optimizer: torch.optim.Adam) -> dict[str, Tensor]:
    """Adam's running means by `<moment>.<parameter>`; none before the first step."""
    return {
        f"{moment}.{name}": value
        for name, parameter in network.named_parameters()
        for moment, value in optimizer.state.get(parameter, {}).items()
    }


def _take_moments(network: nn.Module, optimizer: torch.optim.Adam, moments: Mapping[str, Tensor]) -> None:
    for name, parameter in network.named_parameters():
        own = {key.split(".", 1)[0]: value for key, value in moments.items() if key.split(".", 1)[1] == name}
        if own:
            # In the parameter's own layout, which the fused step asks for; the count of steps is a scalar.
            optimizer.state[parameter] = {
                moment: value.to(parameter.device, torch.float32)
                if value.dim() == 0
                else torch.empty_like(parameter).copy_(value)
                for moment, value in own.items()
            }
