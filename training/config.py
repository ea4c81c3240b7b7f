"""The settings of a run: a frozen record, made from a named preset or a file, printed and saved with every run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from training.errors import ConfigError

CONFIG_FILE = "config.json"
"""In a run's folder, all its settings."""
DEFAULT_PRESET = "dcgan"
RESUME_MAY_CHANGE = frozenset(
    {"data", "kimg", "threads", "device", "report_every_kimg", "sample_every_kimg", "evaluate_every_kimg", "keep"}
)
"""Settings that do not alter the game played so far, so that a resumed run may have others."""


class TrainingConfig(BaseModel):
    """Every setting of a run. Lengths are in kimg: thousands of real images shown to the discriminator."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: str = Field(description="The preset that the settings started from.")
    data: Path = Field(description="IDX directory, folder or zip of images, or packed file.")
    resolution: PositiveInt | None = Field(
        None, description="Side in pixels that folders and zips of images are resized to."
    )
    network: Literal["mlp", "infogan", "dcgan", "sngan", "r3gan"] = Field(description="Family of networks.")
    loss: Literal["minimax", "non-saturating", "least-squares", "hinge", "wasserstein", "relativistic"] = Field(
        description="What the players minimise."
    )
    conditional: bool = Field(default=True, description="Give both networks the class, where the data set has classes.")
    z_dim: Annotated[PositiveInt, Field(le=4096)] = Field(64, description="Length of the latent vector.")
    latent: Literal["normal", "uniform"] = Field("normal", description="Distribution of the latent vector.")
    generator_width: PositiveInt = Field(description="Widest layer of the generator.")
    discriminator_width: PositiveInt = Field(description="Widest layer of the discriminator.")
    blocks: PositiveInt = Field(1, description="Residual blocks at every size; r3gan alone has a choice.")
    spectral_norm: bool = Field(
        default=True, description="Bound D's layers by their spectral norm; dcgan and sngan alone have a choice."
    )
    kimg: PositiveFloat = Field(description="Length of the run.")
    batch_size: Annotated[PositiveInt, Field(ge=2)] = Field(
        64, description="Images per step, of all processes together."
    )
    accumulate: PositiveInt = Field(1, description="Parts that a step's batch is computed in, to save memory.")
    d_steps: PositiveInt = Field(1, description="Steps of D per step of G (k in the paper's algorithm 1).")
    r1_gamma: NonNegativeFloat = Field(0.0, description="Weight of R1, the squared gradient of D on real images.")
    r2_gamma: NonNegativeFloat = Field(0.0, description="Weight of R2, the same on generated images.")
    gradient_penalty: NonNegativeFloat = Field(
        0.0, description="Weight of the penalty that keeps D's gradient between real and generated images at 1."
    )
    penalty_every: PositiveInt = Field(
        1, description="Steps of D per penalised one, on which the penalties weigh as much more."
    )
    augment: tuple[Literal["colour", "translation", "cutout", "rotation", "flip"], ...] = Field(
        (), description="What is done to all that D sees, by names with commas."
    )
    augment_probability: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="Probability of each augmentation for each image, reached after the burn-in."
    )
    augment_target: Annotated[float, Field(gt=-1, lt=1)] | None = Field(
        None, description="Adapt that probability until the sign of D on real images has this mean; 0.6 is usual."
    )
    noise_share: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0, description="Share of D's generated images that are uniform noise instead, so that D rejects noise too."
    )
    class_weight: NonNegativeFloat = Field(
        0.0, description="Weight of the auxiliary class loss in both players' losses; 0 plays without it."
    )
    g_lr: PositiveFloat = Field(description="Adam's learning rate for G.")
    d_lr: PositiveFloat = Field(description="Adam's learning rate for D.")
    beta1: Annotated[NonNegativeFloat, Field(lt=1)] = Field(description="Adam's first decay rate, for both.")
    beta2: Annotated[NonNegativeFloat, Field(lt=1)] = Field(description="Adam's second decay rate, for both.")
    beta2_end: Annotated[NonNegativeFloat, Field(lt=1)] | None = Field(
        None, description="Adam's second decay rate after the burn-in, where it is another."
    )
    burn_in_kimg: NonNegativeFloat = Field(
        0.0, description="Length of the cosine on which rates, gammas and others go to their final values."
    )
    lr_factor: PositiveFloat = Field(1.0, description="Of the learning rates, after the burn-in.")
    gamma_factor: PositiveFloat = Field(1.0, description="Of R1's and R2's weights, after the burn-in.")
    ema_half_life_kimg: PositiveFloat = Field(description="Half-life of the exported generator's moving average.")
    ema_ramp: Annotated[float, Field(gt=0, le=1)] = Field(
        0.05, description="The half-life is never longer than this part of the images seen."
    )
    lr_decay: bool = Field(default=True, description="Let learning rates fall linearly to zero over the last half.")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="Seed of weights, sampler and latents.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to train.")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Of convolutions and products; penalties are always computed in float32."
    )
    compile: bool = Field(
        default=False, description="Compile both networks, where that is as exact as running them as they are."
    )
    threads: Annotated[int, Field(ge=0)] = Field(0, description="CPU threads; 0 leaves the choice to torch.")
    report_every_kimg: PositiveFloat = Field(5.0, description="Between two report lines.")
    sample_every_kimg: PositiveFloat = Field(50.0, description="Between two sample grids, each with a checkpoint.")
    evaluate_every_kimg: NonNegativeFloat = Field(
        0.0, description="Between two quick measurements of quality; 0 leaves them out."
    )
    keep: NonNegativeInt = Field(2, description="Latest checkpoints that are kept; 0 keeps all.")

    @field_validator("augment", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """A flag has names with commas."""
        return tuple(name for name in value.split(",") if name) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.batch_size % self.accumulate or self.batch_size // self.accumulate < 2:
            raise ValueError(f"a batch of {self.batch_size} is not cut into {self.accumulate} parts of two or more")
        if self.augment_target is not None and not self.augment:
            raise ValueError("augment_target adapts augmentation, and augment names none")
        if len(set(self.augment)) != len(self.augment):
            raise ValueError("augment names one kind twice")
        return self

    @property
    def burnt_in_at(self) -> float:
        """Images after which the burn-in is over."""
        return self.burn_in_kimg * 1000

    @classmethod
    def from_preset(cls, name: str, **changes: Any) -> Self:  # noqa: ANN401 -- checked field by field by pydantic
        """The preset `name` with `changes`, of which those that are None do not count.

        Raises ConfigError for an unknown preset or a wrong value.
        """
        return cls.from_settings({"preset": name}, **changes)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], **changes: Any) -> Self:  # noqa: ANN401 -- as above
        """The preset that `settings` name, or the default one, with all else that they say, and with `changes`.

        Of these, those that are None do not count. Raises ConfigError for an unknown preset or a wrong value.
        """
        name = settings.get("preset", DEFAULT_PRESET)
        if not isinstance(name, str) or name not in PRESETS:
            raise ConfigError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
        given = {key: value for key, value in changes.items() if value is not None}
        try:
            return cls(**{"preset": name, **PRESETS[name], **settings, **given})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"{where}: {first['msg']}" if where else first["msg"]) from None

    def require_same_game(self, other: Self) -> None:
        """Raise ConfigError that names each setting in which a resumed run may not differ, and does."""
        mine, theirs = self.model_dump(), other.model_dump()
        differing = [k for k in mine if k not in RESUME_MAY_CHANGE and mine[k] != theirs[k]]
        remedy = ""
        if self.kimg != other.kimg and self.lr_decay:
            differing.append("kimg")
            remedy = "; lr_decay ends with kimg: --start-from begins another run with these networks"
        if differing:
            told = "; ".join(f"{key} was {mine[key]}, is now {theirs[key]}" for key in differing)
            raise ConfigError(f"cannot resume with other settings: {told}{remedy}")


def read_settings(path: Path) -> dict[str, Any]:
    """The settings, by name, in a JSON file such as a run's config.json; any may be missing.

    Raises ConfigError for what is no JSON object, and for names that no setting has.
    """
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except ValueError:
        raise ConfigError(f"{path}: not JSON") from None
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: settings are a JSON object, by name")
    unknown = sorted(settings.keys() - TrainingConfig.model_fields.keys())
    if unknown:
        raise ConfigError(f"{path}: no setting is called {', '.join(unknown)}")
    return settings


_TWO_TIME_SCALES = {"g_lr": 2e-4, "d_lr": 4e-4, "beta1": 0.0, "beta2": 0.99, "ema_half_life_kimg": 20.0}
"""Heusel et al. (2017)."""

_DCGAN = {
    "network": "dcgan",
    "loss": "non-saturating",
    "generator_width": 96,
    "discriminator_width": 64,
    "kimg": 1200.0,
    **_TWO_TIME_SCALES,
}

PRESETS: dict[str, dict[str, Any]] = {
    # Goodfellow et al. (2014): rectifier and maxout perceptrons, uniform noise.
    "mlp": {
        "network": "mlp",
        "loss": "non-saturating",
        "latent": "uniform",
        "z_dim": 100,
        "generator_width": 1200,
        "discriminator_width": 1200,
        "kimg": 3000.0,
        "batch_size": 100,
        "g_lr": 2e-4,
        "d_lr": 2e-4,
        "beta1": 0.5,
        "beta2": 0.999,
        "ema_half_life_kimg": 20.0,
    },
    # The network of Lucic et al. (2018) in the non-saturating game, as published but for the moving average, which
    # is what gets exported: with a half-life of one image it is the generator of the last step.
    "infogan": {
        "network": "infogan",
        "loss": "non-saturating",
        "latent": "uniform",
        "conditional": False,
        "z_dim": 64,
        "generator_width": 128,
        "discriminator_width": 128,
        "kimg": 1200.0,
        "g_lr": 2e-4,
        "d_lr": 2e-4,
        "beta1": 0.5,
        "beta2": 0.999,
        "ema_half_life_kimg": 0.001,
        "lr_decay": False,
    },
    # Radford et al. (2016) made class-conditional.
    "dcgan": _DCGAN,
    # Gulrajani et al. (2017): their optimizer and five steps of D, on the networks of the preset above.
    "wgan-gp": {
        "network": "dcgan",
        "loss": "wasserstein",
        "spectral_norm": False,
        "gradient_penalty": 10.0,
        "d_steps": 5,
        "generator_width": 96,
        "discriminator_width": 64,
        "kimg": 1200.0,
        "g_lr": 1e-4,
        "d_lr": 1e-4,
        "beta1": 0.0,
        "beta2": 0.9,
        "ema_half_life_kimg": 20.0,
    },
    # Miyato et al. (2018), with the two time scales of Zhang et al. (2019).
    "sngan": {
        "network": "sngan",
        "loss": "hinge",
        "generator_width": 64,
        "discriminator_width": 64,
        "kimg": 1200.0,
        **_TWO_TIME_SCALES,
    },
    # Huang et al. (2024), with schedules and gammas for small grey images and a batch that a CPU can bear.
    "r3gan": {
        "network": "r3gan",
        "loss": "relativistic",
        "generator_width": 96,
        "discriminator_width": 192,  # half of it misses half of the variety
        "kimg": 1200.0,
        "g_lr": 2e-3,
        "d_lr": 2e-3,
        "beta1": 0.0,
        "beta2": 0.9,
        "beta2_end": 0.99,
        "burn_in_kimg": 50.0,
        "lr_factor": 0.25,
        "r1_gamma": 0.1,
        "r2_gamma": 0.1,
        "penalty_every": 8,
        "ema_half_life_kimg": 20.0,
    },
    # The bundled models: named after the published set that they are of.
    "mnist": _DCGAN,
    "fashion-mnist": _DCGAN | {"kimg": 1500.0, "noise_share": 0.05, "class_weight": 0.1},
}
