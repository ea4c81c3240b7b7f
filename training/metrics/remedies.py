"""What to do about a verdict: advice in words, and the flags of `gantrain fit` that put it into practice."""

from dataclasses import dataclass

from training.config import TrainingConfig
from training.metrics.health import Verdict

SMALL_SET = 10_000
"""Training images below which D soon knows them by heart (Karras et al., 2020, figure 1)."""
AUGMENT = ("--augment", "translation,cutout", "--augment-target", "0.6")


@dataclass(frozen=True)
class Remedy:
    """`flags` are words of a command line, to be added to those that the run was made with."""

    advice: str
    flags: tuple[str, ...] = ()


def remedy(verdict: Verdict, config: TrainingConfig, *, training_images: int | None, finished: bool) -> Remedy:
    """The first thing to try for a run of `config`; `training_images` may be unknown."""
    found: dict[Verdict, Remedy] = {
        "healthy": Remedy("Export the run, or go on for as long as FID falls."),
        "D overpowers G": _weaken_d(config, training_images),
        "G exploits D": _strengthen_d(config),
        "mode collapse": _spread_g(config),
        "memorising": _forget(config),
        "diverging": Remedy(
            "Begin anew with smaller steps of both players and without momentum.",
            ("--g-lr", f"{min(config.g_lr / 4, 2e-4):g}", "--d-lr", f"{min(config.d_lr / 4, 2e-4):g}", "--beta1", "0"),
        ),
        "not converged yet": _go_on(config, finished=finished),
    }
    return found[verdict]


def _weaken_d(config: TrainingConfig, training_images: int | None) -> Remedy:
    if config.loss == "minimax":
        advice = "Give G a loss whose gradient does not vanish where D wins (the paper's section 3)."
        return Remedy(advice, ("--loss", "non-saturating"))
    if config.d_steps > 1:
        return Remedy("Let D step as often as G.", ("--d-steps", "1"))
    if config.d_lr > 4 * config.g_lr:
        return Remedy("Bring D's learning rate down to twice G's.", ("--d-lr", f"{2 * config.g_lr:g}"))
    if not config.augment and training_images is not None and training_images < SMALL_SET:
        return Remedy("D has too few images and knows them by heart: change what it sees of them.", AUGMENT)
    if not config.r1_gamma:
        return Remedy("Punish D for steep slopes on real images (R1).", ("--r1-gamma", "1"))
    return Remedy(
        "Punish D harder for steep slopes, and slow it down.",
        ("--r1-gamma", f"{4 * config.r1_gamma:g}", "--d-lr", f"{config.d_lr / 2:g}"),
    )


def _strengthen_d(config: TrainingConfig) -> Remedy:
    if config.d_lr < config.g_lr:
        return Remedy("Bring D's learning rate up to twice G's.", ("--d-lr", f"{2 * config.g_lr:g}"))
    if config.d_steps == 1:
        return Remedy("Let D take two steps for each of G's.", ("--d-steps", "2"))
    return Remedy("Slow G down, and widen D.", ("--g-lr", f"{config.g_lr / 2:g}", *_wider(config)))


def _wider(config: TrainingConfig) -> tuple[str, ...]:
    return "--discriminator-width", str(2 * config.discriminator_width)


def _spread_g(config: TrainingConfig) -> Remedy:
    if config.g_lr > config.d_lr:
        advice = "Keep G from running ahead of D: slow it down to half of D's learning rate."
        return Remedy(advice, ("--g-lr", f"{config.d_lr / 2:g}"))
    if config.loss != "relativistic" or not (config.r1_gamma and config.r2_gamma):
        return Remedy(
            "Judge each image against a real one, and flatten D around both (Huang et al., 2024): G gains nothing by "
            "leaving modes out.",
            ("--loss", "relativistic", "--r1-gamma", "1", "--r2-gamma", "1"),
        )
    if not config.conditional:
        return Remedy("Tell both players the class, where the data set has classes.", ("--conditional",))
    return Remedy("Show D more images at once, and slow G down.", ("--g-lr", f"{config.g_lr / 2:g}", *_larger(config)))


def _larger(config: TrainingConfig) -> tuple[str, ...]:
    return "--batch-size", str(2 * config.batch_size)


def _forget(config: TrainingConfig) -> Remedy:
    if not config.augment:
        return Remedy("Train on more images; if there are none, change what D sees of them.", AUGMENT)
    return Remedy("Train on more images, or stop earlier.", ("--kimg", f"{config.kimg / 2:g}"))


def _go_on(config: TrainingConfig, *, finished: bool) -> Remedy:
    if not finished:
        return Remedy("Let the run go on to its end.", ("--resume",))
    if config.lr_decay:
        advice = "Begin anew with twice the length; the learning rate has come down to zero, so this run cannot go on."
        return Remedy(advice, ("--kimg", f"{2 * config.kimg:g}"))
    return Remedy("Go on for twice the length.", ("--resume", "--kimg", f"{2 * config.kimg:g}"))
