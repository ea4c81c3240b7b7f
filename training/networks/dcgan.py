"""A class-conditional DCGAN (Radford et al., 2016), steadied by what came after it.

The generator normalises by class-conditional batch statistics (Dumoulin et al., 2017); the discriminator has spectral
norm instead of batch norm (Miyato et al., 2018), so that a score never depends on the batch, and a projection head.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from training.networks.base import Discriminator, Generator, ProjectionHead

SLOPE = 0.2
"""Of the leaky rectifiers, as in the paper."""


def stages(size: int) -> int:
    """How often `size` is halved to reach the smallest map, 4 to 7 pixels wide: 28 -> 7, 32 -> 4, 64 -> 4.

    Raises ValueError for a size that does not come out.
    """
    halvings, smallest = 0, size
    while smallest > 7 and smallest % 2 == 0:
        halvings, smallest = halvings + 1, smallest // 2
    if not 4 <= smallest <= 7 or halvings == 0:
        raise ValueError(f"{size} pixels do not halve to a map of 4 to 7 pixels")
    return halvings


class ClassBatchNorm(nn.Module):
    """Batch norm whose gain and shift are looked up by class; plain batch norm without classes."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Embedding(max(classes, 1), channels)
        self.shift = nn.Embedding(max(classes, 1), channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, class_id: Tensor | None) -> Tensor:
        """Float32 [n, channels, h, w] -> the same shape."""
        rows = torch.zeros_like(x[:, 0, 0, 0], dtype=torch.int64) if class_id is None else class_id
        normal: Tensor = self.normalise(x)
        gain: Tensor = self.gain(rows)
        shift: Tensor = self.shift(rows)
        return normal * gain[:, :, None, None] + shift[:, :, None, None]


class DcganGenerator(Generator):
    """z -> a small map -> transposed convolutions that double it -> tanh pixels. `width` is the widest map's depth."""

    def __init__(self, *, z_dim: int, shape: tuple[int, int, int], classes: int, width: int) -> None:
        super().__init__()
        self.z_dim, self.classes = z_dim, classes
        height, image_width, channels = shape
        doublings = stages(height)
        if stages(image_width) != doublings:
            raise ValueError(f"{height}x{image_width} images do not halve evenly")
        self.bottom = (width, height >> doublings, image_width >> doublings)
        self.start = nn.Linear(z_dim, self.bottom[0] * self.bottom[1] * self.bottom[2], bias=False)
        self.norms = nn.ModuleList([ClassBatchNorm(width, classes)])
        self.ups = nn.ModuleList()
        depth = width
        for _ in range(doublings):
            self.ups.append(nn.ConvTranspose2d(depth, depth // 2, 4, stride=2, padding=1, bias=False))
            depth //= 2
            self.norms.append(ClassBatchNorm(depth, classes))
        self.pixels = nn.Conv2d(depth, channels, 3, padding=1)
        _initialise(self)

    def forward(self, z: Tensor, class_id: Tensor | None = None) -> Tensor:
        """See Generator."""
        x = self.start(z).unflatten(1, self.bottom)
        x = torch.relu(self.norms[0](x, class_id))
        for up, norm in zip(self.ups, list(self.norms)[1:], strict=True):
            x = torch.relu(norm(up(x), class_id))
        return torch.tanh(self.pixels(x))


class DcganDiscriminator(Discriminator):
    """Strided convolutions down to the small map -> `feature_dim` features -> a projection head."""

    def __init__(self, *, shape: tuple[int, int, int], classes: int, width: int, feature_dim: int = 128) -> None:
        super().__init__()
        self.classes, self.feature_dim = classes, feature_dim
        height, image_width, channels = shape
        halvings = stages(height)
        layers: list[nn.Module] = []
        depth, inputs = width >> halvings, channels
        for _ in range(halvings):
            depth *= 2
            layers += [spectral_norm(nn.Conv2d(inputs, depth, 4, stride=2, padding=1)), nn.LeakyReLU(SLOPE)]
            inputs = depth
        layers += [spectral_norm(nn.Conv2d(depth, depth, 3, padding=1)), nn.LeakyReLU(SLOPE), nn.Flatten()]
        smallest = (height >> halvings) * (image_width >> halvings)
        layers += [spectral_norm(nn.Linear(depth * smallest, feature_dim)), nn.LeakyReLU(SLOPE)]
        self.body = nn.Sequential(*layers)
        self.head = ProjectionHead(feature_dim, classes, normalise=True)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
