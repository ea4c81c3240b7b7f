"""The pair that the study of Lucic et al. (2018) compares losses with, after InfoGAN (Chen et al., 2016).

Two dense layers and two transposed convolutions against their mirror image, batch norm in both. The study uses it
without classes and with z uniform in [-1, 1]^64; with classes the generator reads an embedding beside z, and the
discriminator has one logit per class.
"""

import torch
from torch import Tensor, nn

from training.networks.base import Discriminator, Generator
from training.networks.batch_norm import BatchNorm

SLOPE = 0.2
_DENSE = 1024


class InfoganGenerator(Generator):
    """z -> 1024 -> a quarter-sized map of `width` channels -> half as many at twice the size -> tanh pixels.

    The study has a width of 128.
    """

    def __init__(self, *, z_dim: int, shape: tuple[int, int, int], classes: int, width: int) -> None:
        super().__init__()
        self.z_dim, self.classes = z_dim, classes
        height, image_width, channels = _quartered(shape)
        self.embed = nn.Embedding(classes, z_dim) if classes else None
        flat = width * height * image_width
        self.layers = nn.Sequential(
            nn.Linear(2 * z_dim if classes else z_dim, _DENSE),
            BatchNorm(_DENSE),
            nn.ReLU(),
            nn.Linear(_DENSE, flat),
            BatchNorm(flat),
            nn.ReLU(),
            nn.Unflatten(1, (width, height, image_width)),
            nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1),
            BatchNorm(width // 2),
            nn.ReLU(),
            nn.ConvTranspose2d(width // 2, channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )
        _initialise(self)

    def forward(self, z: Tensor, class_id: Tensor | None = None) -> Tensor:
        """See Generator."""
        if self.embed is not None:
            z = torch.cat([z, self.embed(class_id)], dim=1)
        images: Tensor = self.layers(z)
        return images


class InfoganDiscriminator(Discriminator):
    """Two strided convolutions, `width` channels in the second, and a dense layer of 1024 features; batch norm after
    all but the first. The study has a width of 128.
    """

    def __init__(self, *, shape: tuple[int, int, int], classes: int, width: int) -> None:
        super().__init__()
        self.classes, self.feature_dim = classes, _DENSE
        height, image_width, channels = _quartered(shape)
        self.body = nn.Sequential(
            nn.Conv2d(channels, width // 2, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width // 2, width, 4, stride=2, padding=1),
            BatchNorm(width),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(width * height * image_width, _DENSE),
            BatchNorm(_DENSE),
            nn.LeakyReLU(SLOPE),
        )
        self.head = nn.Linear(_DENSE, max(classes, 1))
        _initialise(self)


def _quartered(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    height, width, channels = shape
    if height % 4 or width % 4:
        raise ValueError(f"{height}x{width} pixels do not halve twice")
    return height // 4, width // 4, channels


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # every layer here has one
