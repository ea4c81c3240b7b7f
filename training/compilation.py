"""Compiled networks for the steps that need no second derivative, once they are proven as exact as the plain ones."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from training.errors import ConfigError
from training.game import Game

TOLERANCE = 1e-3
"""What an output or a gradient may differ by, relative to the largest of its tensor."""
_ROWS = 8


class Compiled:
    """The two networks of a game as `torch.compile` makes them.

    `generator(z, class_id)` and `discriminator(images)`, which gives the logits under every class. Raises ConfigError
    where there is no compiler, or outputs or gradients differ.
    """

    def __init__(self, game: Game) -> None:
        z = torch.randn(_ROWS, game.config.z_dim, device=game.device)
        class_id = torch.arange(_ROWS, device=game.device) % len(game.classes) if game.classes else None
        height, width, channels = game.shape
        images = torch.rand(_ROWS, channels, height, width, device=game.device) * 2 - 1
        try:
            _require_equal("generator", game.generator, lambda network: network(z, class_id))
            _require_equal("discriminator", game.discriminator, lambda network: network.every(images))
        except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ConfigError(f"compile: torch cannot compile here ({reason})") from None
        self.generator: Callable[[Tensor, Tensor | None], Tensor] = torch.compile(game.generator)
        self.discriminator: Callable[[Tensor], Tensor] = torch.compile(game.discriminator.every)


def _require_equal(name: str, network: nn.Module, run: Callable[[Any], Tensor]) -> None:
    """Run a copy plainly and one compiled, forwards and backwards."""
    plain, compiled = copy.deepcopy(network), copy.deepcopy(network)
    expected, found = run(plain), torch.compile(run)(compiled)
    expected.square().mean().backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
    found.square().mean().backward()  # type: ignore[no-untyped-call]  # as above
    pairs: list[tuple[str, Tensor, Tensor]] = [("output", expected, found)]
    for (label, one), other in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        if one.grad is not None and other.grad is not None:
            pairs.append((f"gradient of {label}", one.grad, other.grad))
        elif (one.grad is None) != (other.grad is None):
            raise ConfigError(f"compile: the {name}'s {label} has a gradient in one form alone")
    for label, plainly, otherwise in pairs:
        apart = (plainly - otherwise).abs().max() / plainly.abs().max().clamp(min=1e-6)
        if not apart <= TOLERANCE:
            raise ConfigError(f"compile: the {name}'s {label} differs by {apart:.1e} when it is compiled")
