"""What the game needs of a pair of networks, whatever their family."""

import torch
from torch import Tensor, nn


class Generator(nn.Module):
    """z (and the class) -> an image.

    `forward(z, class_id)`: z float32 [n, z_dim], class_id int64 [n] or None when `classes` is 0;
    returns float32 [n, channels, height, width] in [-1, 1].
    """

    z_dim: int
    classes: int

    def forward(self, z: Tensor, class_id: Tensor | None = None) -> Tensor:
        """The images of the latent rows `z`."""
        raise NotImplementedError


class Discriminator(nn.Module):
    """An image (and the class) -> a logit: positive for real, negative for generated.

    `features(image)` returns float32 [n, feature_dim]; `logits(features)` the logit under every class, float32
    [n, max(classes, 1)]. A family provides `body` and `head`, which do these two. A row never looks at its batch mates
    in eval mode.
    """

    classes: int
    feature_dim: int
    body: nn.Module
    head: nn.Module

    def features(self, image: Tensor) -> Tensor:
        """The penultimate activations of `image`, float32 [n, channels, height, width] in [-1, 1]."""
        features: Tensor = self.body(image)
        return features

    def logits(self, features: Tensor) -> Tensor:
        """The logit under each class, or the one logit of an unconditional network, as one column."""
        logits: Tensor = self.head(features)
        return logits

    def every(self, image: Tensor) -> Tensor:
        """The logit of each image under each class, float32 [n, max(classes, 1)]."""
        return self.logits(self.features(image))

    def forward(self, image: Tensor, class_id: Tensor | None = None) -> Tensor:
        """The logit of each image, float32 [n], under its class when one is given."""
        return self.choose(self.every(image), class_id)

    def choose(self, every: Tensor, class_id: Tensor | None) -> Tensor:
        """Of the logits under each class those of the given classes, or the marginal ones; float32 [n]."""
        if class_id is None:
            return self.marginal(every)
        return every.gather(1, class_id[:, None]).squeeze(1)

    def marginal(self, every: Tensor) -> Tensor:
        """The logit of an image whose class is not stated: log-mean-exp over the classes, float32 [n]."""
        return torch.logsumexp(every, dim=1) - torch.log(torch.tensor(float(every.shape[1])))


class ProjectionHead(nn.Module):
    """logit(x, y) = psi(phi(x)) + <embed(y), phi(x)> for every class y at once (Miyato & Koyama, 2018, eq. 4)."""

    def __init__(self, features: int, classes: int, *, normalise: bool) -> None:
        super().__init__()
        wrap = nn.utils.parametrizations.spectral_norm if normalise else nn.Identity()
        self.score = wrap(nn.Linear(features, 1))
        self.embed = wrap(nn.Linear(features, classes, bias=False)) if classes else None

    def forward(self, features: Tensor) -> Tensor:
        """Float32 [n, features] -> float32 [n, max(classes, 1)]."""
        score: Tensor = self.score(features)
        return score if self.embed is None else score + self.embed(features)
