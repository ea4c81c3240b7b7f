"""The residual pair of SNGAN (Miyato et al., 2018), class-conditional by projection (Miyato and Koyama, 2018).

The generator normalises by class-conditional batch statistics, the discriminator by spectral norm alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate
from torch.nn.utils.parametrizations import spectral_norm as normalised

from training.networks.base import Discriminator, Generator, ProjectionHead
from training.networks.batch_norm import BatchNorm, ClassBatchNorm
from training.networks.sizes import depths, even_stages

Wrap = Callable[[nn.Module], nn.Module]


class UpBlock(nn.Module):
    """Norm, rectifier, doubling, convolution, and once more without doubling, beside a doubled 1x1 shortcut."""

    def __init__(self, inputs: int, outputs: int, classes: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = ClassBatchNorm(inputs, classes), ClassBatchNorm(outputs, classes)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, class_id: Tensor | None) -> Tensor:
        """Float32 [n, inputs, h, w] -> [n, outputs, 2h, 2w]."""
        long = self.first(interpolate(torch.relu(self.first_norm(x, class_id)), scale_factor=2.0))
        long = self.second(torch.relu(self.second_norm(long, class_id)))
        # A 1x1 convolution and a doubling commute, and this order costs a quarter.
        short: Tensor = interpolate(self.shortcut(x), scale_factor=2.0)
        both: Tensor = long + short
        return both


class DownBlock(nn.Module):
    """Two rectified convolutions beside a shortcut, both halved by the mean of four where `down`."""

    def __init__(self, inputs: int, outputs: int, wrap: Wrap, *, down: bool, first: bool = False) -> None:
        super().__init__()
        self.down, self.is_first = down, first
        self.first = wrap(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.second = wrap(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.shortcut = wrap(nn.Conv2d(inputs, outputs, 1)) if down or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Float32 [n, inputs, h, w] -> [n, outputs, h / 2, w / 2], or h and w where it is not `down`."""
        # Pixels are not rectified: half of them would be lost before the first convolution.
        long = self.second(torch.relu(self.first(x if self.is_first else torch.relu(x))))
        if not self.down:
            plain: Tensor = long + self.shortcut(x)
            return plain
        halved: Tensor = avg_pool2d(long, 2) + self.shortcut(avg_pool2d(x, 2))
        return halved


class SnganGenerator(Generator):
    """z -> the smallest map -> residual blocks that double it -> tanh pixels. `width` is the smallest map's depth."""

    def __init__(self, *, z_dim: int, shape: tuple[int, int, int], classes: int, width: int) -> None:
        super().__init__()
        self.z_dim, self.classes = z_dim, classes
        height, image_width, channels = shape
        doublings = even_stages(shape)
        depth = depths(width, doublings)
        self.bottom = (width, height >> doublings, image_width >> doublings)
        self.start = nn.Linear(z_dim, self.bottom[0] * self.bottom[1] * self.bottom[2])
        self.blocks = nn.ModuleList(UpBlock(depth[s], depth[s + 1], classes) for s in range(doublings))
        self.norm = BatchNorm(depth[-1])
        self.pixels = nn.Conv2d(depth[-1], channels, 3, padding=1)
        _initialise(self)

    def forward(self, z: Tensor, class_id: Tensor | None = None) -> Tensor:
        """See Generator."""
        x = self.start(z).unflatten(1, self.bottom)
        for block in self.blocks:
            x = block(x, class_id)
        return torch.tanh(self.pixels(torch.relu(self.norm(x))))


class SnganDiscriminator(Discriminator):
    """Residual blocks that halve the image, one more on the smallest map, and the sum over it as features.

    `spectral_norm` can be left out, for losses that bound the gradient instead.
    """

    def __init__(self, *, shape: tuple[int, int, int], classes: int, width: int, spectral_norm: bool = True) -> None:
        super().__init__()
        self.classes, self.feature_dim = classes, width
        halvings = even_stages(shape)
        wrap: Wrap = normalised if spectral_norm else nn.Identity()
        depth = depths(width, halvings)[::-1]
        blocks = [DownBlock(shape[2], depth[1], wrap, down=True, first=True)]
        blocks += [DownBlock(depth[s], depth[s + 1], wrap, down=True) for s in range(1, halvings)]
        self.body = nn.Sequential(*blocks, DownBlock(width, width, wrap, down=False), nn.ReLU(), _Sum())
        _initialise(self.body)
        self.head = ProjectionHead(width, classes, normalise=spectral_norm)


class _Sum(nn.Module):
    """The sum over all places: [n, channels, h, w] -> [n, channels]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(dim=(2, 3))


def _initialise(network: nn.Module) -> None:
    """Glorot's uniform initialisation, with a gain of sqrt(2) off the shortcuts, as in the paper's networks."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, gain=1.0 if "shortcut" in name else 2**0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
