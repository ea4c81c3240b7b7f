"""Batch norm over the whole batch, even where several processes share it, and with a gain and shift for each class."""

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce


class BatchNorm(nn.BatchNorm2d):
    """Batch norm of [n, channels, ...]; while processes train together, its statistics are those of all their rows.

    Each process has to bring as many rows as any other.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Float32 [n, channels, ...] -> the same shape."""
        if not (self.training and distributed.is_available() and distributed.is_initialized()):
            normal: Tensor = super().forward(x)
            return normal
        others = [dim for dim in range(x.dim()) if dim != 1]
        size = distributed.get_world_size()
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean = self._over_all(x.mean(others))
        centred = x - mean.view(shape)
        variance = self._over_all(centred.square().mean(others))
        self._remember(mean.detach(), variance, count=x.numel() // x.shape[1] * size)
        scaled = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            scaled = scaled * self.weight.view(shape) + self.bias.view(shape)
        return scaled

    def _over_all(self, means: Tensor) -> Tensor:
        """The means over all processes, through which gradients pass."""
        summed: Tensor = all_reduce(means)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return summed / distributed.get_world_size()

    def _remember(self, mean: Tensor, variance: Tensor, *, count: int) -> None:
        momentum = 0.1 if self.momentum is None else self.momentum
        unbiased = variance.detach() * count / max(count - 1, 1)
        with torch.no_grad():
            for running, latest in ((self.running_mean, mean), (self.running_var, unbiased)):
                if running is not None:
                    running.lerp_(latest, momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 -- torch's own name
        if input.dim() < 2:
            raise ValueError(f"batch norm takes [n, channels, ...], and got {input.dim()} dimension(s)")


class ClassBatchNorm(nn.Module):
    """Batch norm whose gain and shift are looked up by class (Dumoulin et al., 2017); plain one without classes."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.normalise = BatchNorm(channels, affine=False)
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
