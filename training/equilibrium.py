"""The theory in one dimension: a game on a known density, where the paper's two propositions can be checked."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.ema import Ema
from training.losses import OBJECTIVES

BATCH = 512
D_STEPS = 3
"""Steps of D per step of G (k in algorithm 1): proposition 2 asks for a D that is close to its optimum."""
G_RATE, D_RATE = 1e-3, 3e-3
BETAS = (0.5, 0.99)
HALF_LIFE_STEPS = 100
"""Of the smoothed generator: players circle the equilibrium (Mescheder et al., 2018), and the average is inside."""
WIDTH = 32
LATENTS = 4096
"""Evenly spaced ones, from which p_g and its distance to p_data are computed."""
KERNEL = 0.08
"""Deviation of the Gaussian that p_g is smoothed with where it is drawn, in units of x."""


@dataclass(frozen=True)
class Mixture:
    """Equally likely Gaussians, each a mean and a standard deviation."""

    parts: tuple[tuple[float, float], ...]

    def density(self, x: Tensor) -> Tensor:
        """p(x), of the shape of x."""
        each = [torch.exp(-(((x - mean) / deviation) ** 2) / 2) / deviation for mean, deviation in self.parts]
        mean: Tensor = torch.stack(each).mean(dim=0) / math.sqrt(2 * math.pi)
        return mean

    def sample(self, count: int, chance: torch.Generator) -> Tensor:
        """Independent draws, float32 [count, 1]."""
        means, deviations = torch.tensor(self.parts)[torch.randint(len(self.parts), (count,), generator=chance)].T
        drawn: Tensor = means + deviations * torch.randn(count, generator=chance)
        return drawn[:, None]

    def quantiles(self, count: int) -> Tensor:
        """The values below which the shares (i + 1/2) / count of the mass lie, float32 [count]; by bisection."""
        share = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        low, high = torch.full_like(share, -1e3), torch.full_like(share, 1e3)
        for _ in range(60):
            middle = (low + high) / 2
            each = [torch.special.ndtr((middle - mean) / deviation) for mean, deviation in self.parts]
            below = torch.stack(each).mean(dim=0) < share
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return ((low + high) / 2).float()


GAUSSIAN = Mixture(((1.0, 0.6),))
TWO_GAUSSIANS = Mixture(((-1.5, 0.4), (1.2, 0.6)))


@dataclass(frozen=True)
class Moment:
    """How the game stands after `step` steps of G: curves float32 [n] on the places `x`, and where latents go.

    `wasserstein` is W1 between p_g and p_data, in units of x; `d_fake` the mean of D(G(z)); `latents`, evenly spaced in
    [0, 1], go to `mapped`. G is the smoothed one.
    """

    step: int
    wasserstein: float
    d_fake: float
    x: Tensor
    p_data: Tensor
    p_generated: Tensor
    d: Tensor
    latents: Tensor
    mapped: Tensor


class OneDimensionalGame:
    """Algorithm 1 on `data` with a uniform z and small perceptrons, for `steps` steps of G, with the project's losses.

    Learning rates fall to zero over the last half.
    """

    def __init__(self, data: Mixture, *, steps: int, seed: int, loss: str = "non-saturating") -> None:
        self.data, self.steps, self.step = data, steps, 0
        self.generator, self.discriminator = _network(2 * seed), _network(2 * seed + 1)
        self._objective = OBJECTIVES[loss]
        self._chance = torch.Generator().manual_seed(seed)
        self._g_optimizer = _optimizer(self.generator, G_RATE)
        self._d_optimizer = _optimizer(self.discriminator, D_RATE)
        self._ema = Ema(self.generator, half_life_images=HALF_LIFE_STEPS * BATCH)

    def play(self, *, until: int) -> None:
        """Go on up to the step `until`."""
        while self.step < until:
            left = 1 - self.step / self.steps
            for optimizer, rate in ((self._g_optimizer, G_RATE), (self._d_optimizer, D_RATE)):
                optimizer.param_groups[0]["lr"] = rate * min(1.0, 2 * left)
            for _ in range(D_STEPS):
                with torch.no_grad():
                    fake = self.generator(self._draw())
                real_logits = self.discriminator(self.data.sample(BATCH, self._chance))
                _descend(self._d_optimizer, self._objective.discriminator(real_logits, self.discriminator(fake)))
            real_logits = self.discriminator(self.data.sample(BATCH, self._chance)).detach()
            fake_logits = self.discriminator(self.generator(self._draw()))
            _descend(self._g_optimizer, self._objective.generator(fake_logits, real_logits))
            self.step += 1
            self._ema.update(self.generator, batch_size=BATCH, images_seen=self.step * BATCH)

    @torch.no_grad()
    def moment(self, x: Tensor, *, arrows: int = 25) -> Moment:
        """How things stand, with curves on `x`, float32 [n], and `arrows` latents."""
        network = self._ema.network
        values = network(_centred((torch.arange(LATENTS)[:, None] + 0.5) / LATENTS))
        latents = torch.linspace(0, 1, arrows)
        return Moment(
            step=self.step,
            wasserstein=wasserstein_distance(values[:, 0], self.data),
            d_fake=float(self.discriminator(values).sigmoid().mean()),
            x=x,
            p_data=self.data.density(x),
            p_generated=Mixture(tuple((value, KERNEL) for value in values[::8, 0].tolist())).density(x),
            d=self.discriminator(x[:, None])[:, 0].sigmoid(),
            latents=latents,
            mapped=network(_centred(latents[:, None]))[:, 0],
        )

    def _draw(self) -> Tensor:
        return _centred(torch.rand(BATCH, 1, generator=self._chance))


def course(data: Mixture, x: Tensor, *, steps: int, moments: int, seed: int) -> Iterator[Moment]:
    """A whole game: the moment before the first step and `moments` more, with curves on `x`; denser early on."""
    game = OneDimensionalGame(data, steps=steps, seed=seed)
    for number in range(moments + 1):
        game.play(until=round(steps * (number / moments) ** 2))
        yield game.moment(x)


def optimal_discriminator(p_data: Tensor, p_generated: Tensor) -> Tensor:
    """D*(x) = p_data(x) / (p_data(x) + p_g(x)), proposition 1."""
    return p_data / (p_data + p_generated)


def wasserstein_distance(values: Tensor, data: Mixture) -> float:
    """W1 between the empirical distribution of `values`, float32 [n], and `data`: the mean gap of their quantiles."""
    return float((values.sort().values - data.quantiles(len(values))).abs().mean())


def fit_discriminator(data: Mixture, generated: Mixture, *, steps: int, seed: int) -> nn.Module:
    """A D trained against a generator that is held still and makes `generated`; float32 [n, 1] -> logits [n, 1]."""
    chance, discriminator = torch.Generator().manual_seed(seed), _network(seed)
    optimizer, objective = _optimizer(discriminator, D_RATE), OBJECTIVES["minimax"]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = D_RATE * (1 - step / steps)
        real, fake = discriminator(data.sample(BATCH, chance)), discriminator(generated.sample(BATCH, chance))
        _descend(optimizer, objective.discriminator(real, fake))
    return discriminator


def _network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(1, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1))


def _optimizer(network: nn.Module, rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=rate, betas=BETAS, fused=True)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
    optimizer.step()


def _centred(z: Tensor) -> Tensor:
    """A uniform z in [0, 1] with mean 0 and variance 1, as first layers like it."""
    return (2 * z - 1) * math.sqrt(3)
