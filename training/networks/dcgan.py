"""A class-conditional DCGAN (Radford et al., 2016), steadied by what came after it.

The generator normalises by class-conditional batch statistics (Dumoulin et al., 2017); the discriminator has spectral
norm instead of batch norm (Miyato et al., 2018), so that a score never depends on the batch, and a projection head.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as normalised

from training.networks.base import Discriminator, Generator, ProjectionHead
from training.networks.batch_norm import ClassBatchNorm
from training.networks.sizes import even_stages

SLOPE = 0.2
"""Of the leaky rectifiers, as in the paper."""


class DcganGenerator(Generator):
    """z -> a small map -> transposed convolutions that double it -> tanh pixels. `width` is the widest map's depth."""

    def __init__(self, *, z_dim: int, shape: tuple[int, int, int], classes: int, width: int) -> None:
        super().__init__()
        self.z_dim, self.classes = z_dim, classes
        height, image_width, channels = shape
        doublings = even_stages(shape)
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
    """Strided convolutions down to the small map -> 128 features -> a projection head.

    `spectral_norm` can be left out, for losses that bound the gradient instead.
    """

    feature_dim = 128

    def __init__(self, *, shape: tuple[int, int, int], classes: int, width: int, spectral_norm: bool = True) -> None:
        super().__init__()
        self.classes = classes
        height, image_width, channels = shape
        halvings = even_stages(shape)
        wrap: Callable[[nn.Module], nn.Module] = normalised if spectral_norm else nn.Identity()
        layers: list[nn.Module] = []
        depth, inputs = width >> halvings, channels
        for _ in range(halvings):
            depth *= 2
            layers += [wrap(nn.Conv2d(inputs, depth, 4, stride=2, padding=1)), nn.LeakyReLU(SLOPE)]
            inputs = depth
        layers += [wrap(nn.Conv2d(depth, depth, 3, padding=1)), nn.LeakyReLU(SLOPE), nn.Flatten()]
        smallest = (height >> halvings) * (image_width >> halvings)
        layers += [wrap(nn.Linear(depth * smallest, self.feature_dim)), nn.LeakyReLU(SLOPE)]
        self.body = nn.Sequential(*layers)
        self.head = ProjectionHead(self.feature_dim, classes, normalise=spectral_norm)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
