"""The families of networks, one file each; pure torch."""

from collections.abc import Callable
from dataclasses import dataclass

from training.networks.base import Discriminator, Generator
from training.networks.dcgan import DcganDiscriminator, DcganGenerator
from training.networks.infogan import InfoganDiscriminator, InfoganGenerator
from training.networks.mlp import MlpDiscriminator, MlpGenerator
from training.networks.r3gan import R3ganDiscriminator, R3ganGenerator
from training.networks.sngan import SnganDiscriminator, SnganGenerator

__all__ = ["FAMILIES", "Discriminator", "Family", "Generator"]


@dataclass(frozen=True)
class Family:
    """A generator and the discriminator it plays against.

    `generator(z_dim=, shape=, classes=, width=)` and `discriminator(shape=, classes=, width=)`, and those of `blocks`
    (both) and `spectral_norm` (the discriminator alone) that are among its `options`; shape is height, width, channels;
    ValueError when the family cannot make that size.
    """

    generator: Callable[..., Generator]
    discriminator: Callable[..., Discriminator]
    options: frozenset[str] = frozenset()


FAMILIES = {
    "mlp": Family(MlpGenerator, MlpDiscriminator),
    "infogan": Family(InfoganGenerator, InfoganDiscriminator),
    "dcgan": Family(DcganGenerator, DcganDiscriminator, frozenset({"spectral_norm"})),
    "sngan": Family(SnganGenerator, SnganDiscriminator, frozenset({"spectral_norm"})),
    "r3gan": Family(R3ganGenerator, R3ganDiscriminator, frozenset({"blocks"})),
}
