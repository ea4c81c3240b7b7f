"""Networks that are not ours in shape, exported as others export theirs."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

SIDE = 16
CLASSES = 3


class Dcgan(nn.Module):
    """z [n, 100, 1, 1] -> RGB [n, 3, 16, 16] in [-1, 1], as in the tutorials."""

    def __init__(self, dim: int = 100, channels: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ConvTranspose2d(dim, 16, 4),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 8, 4, 2, 1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.ConvTranspose2d(8, channels, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        image: Tensor = self.body(z)
        return image


class PixelNorm(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)


class ModulatedConv(nn.Module):
    """Weight modulation (Karras et al., 2020, eqs. 1 and 3) with scaled activations in place of grouped weights."""

    def __init__(self, inputs: int, outputs: int, size: int, w_dim: int, *, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size) / math.sqrt(inputs * size * size))
        self.style = nn.Linear(w_dim, inputs)
        nn.init.ones_(self.style.bias)
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.style(w)
        out = nn.functional.conv2d(x * style[:, :, None, None], self.weight, padding=self.weight.shape[-1] // 2)
        if self.demodulate:
            scale = torch.rsqrt(style.square() @ self.weight.square().sum(dim=(2, 3)).t() + 1e-8)
            out = out * scale[:, :, None, None]
        return out


class StyleGan(nn.Module):
    """A small StyleGAN2: mapping network, truncation toward the mean w, modulated convolutions, skip connections.

    `noise`: "constant" buffers, "drawn" at each run, or "input", which has the graph take a map [1, 1, 16, 16].
    `psi` is a scalar, or holds one value per row.
    """

    w_mean: Tensor

    def __init__(self, *, noise: str = "constant", dim: int = 12, width: int = 8) -> None:
        super().__init__()
        layers: list[nn.Module] = [PixelNorm()]
        for _ in range(8):
            linear = nn.Linear(dim, dim)
            nn.init.orthogonal_(linear.weight, gain=1.3)
            layers += [linear, nn.LeakyReLU(0.2)]
        self.mapping = nn.Sequential(*layers)
        self.noise = noise
        self.first = nn.Parameter(torch.randn(1, width, 4, 4))
        self.convolutions = nn.ModuleList([ModulatedConv(width, width, 3, dim) for _ in range(3)])
        self.to_rgb = nn.ModuleList([ModulatedConv(width, 3, 1, dim, demodulate=False) for _ in range(3)])
        self.register_buffer("w_mean", torch.zeros(dim))
        for place, side in enumerate((4, 8, 16)):
            self.register_buffer(f"noise_{place}", torch.randn(1, 1, side, side))
        with torch.no_grad():
            self.w_mean.copy_(self.mapping(torch.randn(512, dim)).mean(dim=0))

    def forward(self, z: Tensor, psi: Tensor, noise: Tensor | None = None) -> Tensor:
        w = self.mapping(z)
        w = self.w_mean + (psi[:, None] if psi.dim() else psi) * (w - self.w_mean)
        x: Tensor = self.first
        image: Tensor | None = None
        for place, (convolution, to_rgb) in enumerate(zip(self.convolutions, self.to_rgb, strict=True)):
            if place:
                x = nn.functional.interpolate(x, scale_factor=2.0)
            x = convolution(x, w)
            drawn: Tensor = getattr(self, f"noise_{place}")
            if self.noise == "drawn":
                drawn = torch.randn_like(x[:, :1])
            elif noise is not None and place == 2:
                drawn = noise
            x = nn.functional.leaky_relu(x + 0.3 * drawn, 0.2) * math.sqrt(2)
            skip = 0.3 * to_rgb(x, w)
            image = skip if image is None else skip + nn.functional.interpolate(image, scale_factor=2.0)
        assert image is not None
        return image


class OneHot(nn.Module):
    """z [n, 8] and a class, one-hot [n, 3], -> grey NHWC [n, 16, 16, 1] in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(8 + CLASSES, SIDE * SIDE)

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        flat: Tensor = self.body(3 * torch.cat([latent, 2 * label], dim=1))
        return torch.sigmoid(flat).reshape(-1, SIDE, SIDE, 1)


class Flat(nn.Module):
    """z [n, 8] -> [n, channels, side, side], spread by `finish`; `batch` freezes its reshapes."""

    def __init__(
        self, *, channels: int = 1, finish: nn.Module | None = None, batch: int | None = None, side: int = SIDE
    ) -> None:
        super().__init__()
        self.body = nn.Linear(8, channels * side * side)
        self.finish = finish or nn.Tanh()
        self.shape = (batch or -1, channels, side, side)

    def forward(self, z: Tensor) -> Tensor:
        image: Tensor = self.finish(4 * self.body(z).reshape(self.shape))
        return image


class Named(nn.Module):
    """z [n, 8] and the number of one of three classes, [n] or [n, 1] -> grey [n, 1, 16, 16] in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(CLASSES, 8)
        self.body = Flat()

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        image: Tensor = self.body(z + self.embed(label).reshape(-1, 8))
        return image


class BatchMean(nn.Module):
    """Takes the mean of its batch away, as batch norm does in train mode."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x - x.mean(dim=0, keepdim=True))


class Levels(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 255 * torch.sigmoid(x)


class NotFinite(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(x)


class Drawn(nn.Module):
    """Adds noise of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x + torch.randn_like(x))


class Map(nn.Module):
    """Adds one drawn map to every row."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x + torch.randn(1, 1, SIDE, SIDE))


class OneHotCritic(nn.Module):
    """A grey image [n, 1, 16, 16] and a class, one-hot [n, 3] -> a score [n, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Critic(channels=1)
        self.bias = nn.Linear(CLASSES, 1)

    def forward(self, image: Tensor, onehot: Tensor) -> Tensor:
        score: Tensor = self.body(image) + self.bias(onehot)
        return score


class Grouped(nn.Module):
    """Convolves each row with weights of its own by groups, which ties the graph to its batch size."""

    def __init__(self) -> None:
        super().__init__()
        self.style = nn.Linear(8, 4 * 9)
        self.first = nn.Linear(8, 4 * SIDE * SIDE)

    def forward(self, z: Tensor) -> Tensor:
        weight = self.style(z).reshape(-1, 4, 3, 3)
        x = self.first(z).reshape(1, -1, SIDE, SIDE)
        return torch.tanh(nn.functional.conv2d(x, weight, padding=1, groups=len(z)).reshape(-1, 1, SIDE, SIDE))


class Critic(nn.Module):
    """An image [n, channels, side, side] -> a score, as DCGAN's discriminator gives it; optionally under a class."""

    def __init__(
        self, *, channels: int = 3, probability: bool = False, classes: int = 0, patches: bool = False, side: int = SIDE
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 16, 4, 2, 1), nn.LeakyReLU(0.2)
        )
        self.head = nn.Conv2d(16, 1, side // 4)
        self.embed = nn.Embedding(classes, 16) if classes else None
        self.probability, self.patches = probability, patches

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        deep = self.body(image)
        score: Tensor = 40 * self.head(deep)
        if not self.patches:
            score = score.reshape(-1, 1)
        if self.embed is not None and label is not None:
            score = score + 5 * (deep.mean(dim=(2, 3)) * self.embed(label)).sum(dim=1, keepdim=True)
        return torch.sigmoid(score) if self.probability else score


def export(
    module: nn.Module,
    example: Sequence[Tensor],
    path: Path,
    *,
    names: Sequence[str],
    output: str = "output",
    dynamic: bool = True,
    scalars: Sequence[str] = (),
    opset: int = 17,
    training: bool = False,
) -> Path:
    """What a plain `torch.onnx.export(..., dynamo=False)` writes; `scalars` are inputs without a batch."""
    axes: Mapping[str, Mapping[int, str]] = {
        name: {0: "batch"} for name in [*names, output] if dynamic and name not in scalars
    }
    mode = torch.onnx.TrainingMode.TRAINING if training else torch.onnx.TrainingMode.EVAL
    module.train(training)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its age, of traced constants, and of itself
        torch.onnx.export(
            module,
            tuple(example),
            path,
            dynamo=False,
            input_names=list(names),
            output_names=[output],
            dynamic_axes=axes,
            opset_version=opset,
            training=mode,
            do_constant_folding=not training,
        )
    return path
