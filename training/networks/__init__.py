"""The families of networks, one file each; pure torch."""

from collections.abc import Callable
from dataclasses import dataclass

from training.networks.base import Discriminator, Generator
from training.networks.dcgan import DcganDiscriminator, DcganGenerator
from training.networks.mlp import MlpDiscriminator, MlpGenerator

__all__ = ["FAMILIES", "Discriminator", "Family", "Generator"]


@dataclass(frozen=True)
class Family:
    """A generator and the discriminator it plays against.

    `generator(z_dim=, shape=, classes=, width=)` and `discriminator(shape=, classes=, width=)`; shape is height, width,
    channels; ValueError when the family cannot make that size.
    """

    generator: Callable[..., Generator]
    discriminator: Callable[..., Discriminator]


FAMILIES = {
    "mlp": Family(MlpGenerator, MlpDiscriminator),
    "dcgan": Family(DcganGenerator, DcganDiscriminator),
}
