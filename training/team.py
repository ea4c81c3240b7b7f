"""Processes that train together, each on its share of every batch, as `torchrun` starts them; or one alone."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from training.errors import ConfigError


@dataclass(frozen=True)
class Team:
    """Where this process stands among those that train together."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This process's part of `rows` [n, ...], which the number of processes must divide."""
        return rows if self.size == 1 else rows.chunk(self.size)[self.rank]

    def mean_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes, in one message."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        message = torch.cat([gradient.reshape(-1) for gradient in gradients]) / self.size
        distributed.all_reduce(message)
        for gradient, mean in zip(gradients, torch.split(message, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def mean(self, values: Tensor) -> Tensor:
        """The mean of `values` over the processes."""
        if self.size == 1:
            return values
        values = values / self.size
        distributed.all_reduce(values)
        return values

    def any(self, *, flag: bool, device: torch.device) -> bool:
        """Whether `flag` is set in one process at least."""
        return flag if self.size == 1 else self.mean(torch.tensor(float(flag), device=device)).item() > 0

    def wait(self) -> None:
        """Until all have come here."""
        if self.size > 1:
            distributed.barrier()

    def leave(self) -> None:
        """End the connections to the others."""
        if self.size > 1:
            distributed.destroy_process_group()


def join(device: torch.device, *, batch_size: int) -> tuple[Team, torch.device]:
    """The team that `torchrun` started this process in, and its device; a team of one without torchrun.

    Processes talk through NCCL on GPUs, one each, and through Gloo on a CPU. Raises ConfigError when they cannot share
    a batch evenly, or are more than there are GPUs.
    """
    if "RANK" not in os.environ:
        return Team(), device
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if batch_size % size or batch_size // size < 2:
        told = f"{size} processes cannot have equal shares, of two or more, of {batch_size} images"
        raise ConfigError(f"batch_size: {told}")
    if device.type == "cuda":
        place = int(os.environ.get("LOCAL_RANK", rank))
        if place >= torch.cuda.device_count():
            raise ConfigError(f"{torch.cuda.device_count()} GPU(s) are too few for the processes on this machine")
        device = torch.device("cuda", place)
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Team(rank, size), device
