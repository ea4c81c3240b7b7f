"""The encoder: an image -> the z, and the class, that a generator makes it from."""

from torch import Tensor, nn

_SMALLEST = 4
_DEEPEST = 4
"""Maps are at most so many times as deep as the first."""


class Encoder(nn.Module):
    """Strided convolutions with batch norm down to a map of at most 4 pixels a side, then a layer of `features`.

    z is squashed into `limit` either way, where the latent's distribution ends or has hardly any mass. A row never
    looks at its batch mates in eval mode.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, int, int],
        z_dim: int,
        classes: int,
        limit: float,
        width: int = 32,
        features: int = 96,
    ) -> None:
        super().__init__()
        self.classes, self.limit = classes, limit
        height, image_width, channels = shape
        sides, inputs, depth = (height, image_width), channels, width
        layers: list[nn.Module] = []
        while max(sides) > _SMALLEST:
            layers += _convolution(inputs, depth, stride=2)
            sides = (sides[0] + 1) // 2, (sides[1] + 1) // 2
            inputs, depth = depth, min(2 * depth, _DEEPEST * width)
        layers += _convolution(inputs, inputs, stride=1)
        flat = inputs * sides[0] * sides[1]
        self.body = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(flat, features, bias=False), nn.BatchNorm1d(features), nn.ReLU()
        )
        self.latent = nn.Linear(features, z_dim)
        self.verdict = nn.Linear(features, classes) if classes else None

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """Float NCHW in [-1, 1] -> z float32 [n, z_dim], and the class logits float32 [n, classes] if conditional."""
        features = self.body(image)
        z = self.limit * (self.latent(features) / self.limit).tanh()
        return z, None if self.verdict is None else self.verdict(features)


def _convolution(inputs: int, outputs: int, *, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
