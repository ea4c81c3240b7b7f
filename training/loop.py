"""The adversarial game: algorithm 1 of Goodfellow et al. (2014)."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from training.data import ImageSet
from training.errors import Diverged
from training.game import Game
from training.steps import Steps


@dataclass(frozen=True)
class Report:
    """Means over the steps since the report before.

    `d_real` is D(x) and `d_fake` is D(G(z)), as probabilities; `d_sign` the sign of D's logit on real images, or, where
    only differences mean something, of real less generated; `penalty` as it counts in D's loss, the norms those of the
    whole gradients.
    """

    images_seen: int
    d_loss: float
    g_loss: float
    d_real: float
    d_fake: float
    d_sign: float
    penalty: float
    d_grad_norm: float
    g_grad_norm: float
    augment_p: float
    images_per_s: float


def play(game: Game, data: ImageSet, *, stop: Callable[[], bool] = lambda: False) -> Iterator[Report]:
    """Play until `config.kimg` thousand images were shown to D, and yield a report every `report_every_kimg`.

    The game may be saved whenever this yields. When `stop` says so it yields once more and ends. Raises Diverged when a
    loss is no longer finite.
    """
    config, steps = game.config, Steps(game, data)
    end, interval = round(config.kimg * 1000), round(config.report_every_kimg * 1000)
    since, started = game.images_seen, time.perf_counter()
    while game.images_seen < end:
        steps.set_schedules()
        for _ in range(config.d_steps):
            steps.discriminator_step()
        steps.generator_step()
        game.ema.update(game.generator, batch_size=config.batch_size * config.d_steps, images_seen=game.images_seen)
        due = game.images_seen // interval > since // interval or game.images_seen >= end
        # Processes must agree, and asking the others at every step would cost more than it is worth.
        stopping = (due or game.team.size == 1) and game.team.any(flag=stop(), device=game.device)
        if due or stopping:
            means = steps.means()  # which waits for the device, and so comes before the clock is read
            speed = (game.images_seen - since) / (time.perf_counter() - started)
            yield _report(game, means, images_per_s=speed)
            since, started = game.images_seen, time.perf_counter()
        if stopping:
            return


def _report(game: Game, means: dict[str, float], *, images_per_s: float) -> Report:
    for name, value in means.items():
        if not math.isfinite(value):
            raise Diverged(f"{name} became NaN or infinite near {game.images_seen / 1000:.0f} kimg")
    return Report(images_seen=game.images_seen, images_per_s=images_per_s, **means)
