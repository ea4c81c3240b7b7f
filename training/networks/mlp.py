"""The multilayer perceptrons of the original paper (Goodfellow et al., 2014): rectifiers against maxout and dropout.

With classes, the generator reads an embedding of the class beside z (Mirza & Osindero, 2014) and the discriminator
has one logit per class.
"""

import torch
from torch import Tensor, nn

from training.networks.base import Discriminator, Generator


class MlpGenerator(Generator):
    """z -> two rectified layers -> tanh pixels."""

    def __init__(self, *, z_dim: int, shape: tuple[int, int, int], classes: int, width: int) -> None:
        super().__init__()
        self.z_dim, self.classes = z_dim, classes
        height, image_width, channels = shape
        self.embed = nn.Embedding(classes, z_dim) if classes else None
        self.layers = nn.Sequential(
            nn.Linear(2 * z_dim if classes else z_dim, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, channels * height * image_width),
            nn.Tanh(),
            nn.Unflatten(1, (channels, height, image_width)),
        )

    def forward(self, z: Tensor, class_id: Tensor | None = None) -> Tensor:
        """See Generator."""
        if self.embed is not None:
            z = torch.cat([z, self.embed(class_id)], dim=1)
        images: Tensor = self.layers(z)
        return images


class Maxout(nn.Module):
    """The largest of `pieces` affine maps per unit (Goodfellow et al., 2013)."""

    def __init__(self, inputs: int, units: int, pieces: int) -> None:
        super().__init__()
        self.units, self.pieces = units, pieces
        self.affine = nn.Linear(inputs, units * pieces)

    def forward(self, x: Tensor) -> Tensor:
        """Float32 [n, inputs] -> float32 [n, units]."""
        largest: Tensor = self.affine(x).unflatten(1, (self.units, self.pieces)).amax(dim=2)
        return largest


class MlpDiscriminator(Discriminator):
    """Pixels -> two maxout layers with dropout -> one logit per class."""

    def __init__(self, *, shape: tuple[int, int, int], classes: int, width: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.classes = classes
        self.feature_dim = max(width // 5, 1)
        height, image_width, channels = shape
        self.body = nn.Sequential(
            nn.Flatten(),
            Maxout(channels * height * image_width, self.feature_dim, 5),
            nn.Dropout(dropout),
            Maxout(self.feature_dim, self.feature_dim, 5),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(self.feature_dim, max(classes, 1))
