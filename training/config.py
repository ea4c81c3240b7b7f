"""The settings of a run: a frozen record, made from a named preset, printed and saved with every run."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from training.errors import ConfigError

RESUME_MAY_CHANGE = frozenset({"data", "kimg", "threads", "device", "report_every_kimg", "sample_every_kimg"})
"""Settings that do not alter the game played so far, so that a resumed run may have others."""


class TrainingConfig(BaseModel):
    """Every setting of a run. Lengths are in kimg: thousands of real images shown to the discriminator."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: str = Field(description="The preset that the settings started from.")
    data: Path = Field(description="IDX directory or folder of images.")
    resolution: PositiveInt | None = Field(None, description="Side in pixels that image folders are resized to.")
    network: Literal["mlp", "dcgan"] = Field(description="Family of networks.")
    loss: Literal["minimax", "non-saturating"] = Field(description="What the generator minimises.")
    conditional: bool = Field(default=True, description="Give both networks the class, where the data set has classes.")
    z_dim: Annotated[PositiveInt, Field(le=4096)] = Field(64, description="Length of the latent vector.")
    latent: Literal["normal", "uniform"] = Field("normal", description="Distribution of the latent vector.")
    generator_width: PositiveInt = Field(description="Widest layer of the generator.")
    discriminator_width: PositiveInt = Field(description="Widest layer of the discriminator.")
    kimg: PositiveFloat = Field(description="Length of the run.")
    batch_size: Annotated[PositiveInt, Field(ge=2)] = Field(64, description="Images per step.")
    d_steps: PositiveInt = Field(1, description="Steps of D per step of G (k in the paper's algorithm 1).")
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
    ema_half_life_kimg: PositiveFloat = Field(description="Half-life of the exported generator's moving average.")
    lr_decay: bool = Field(default=True, description="Let learning rates fall linearly to zero over the last half.")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="Seed of weights, sampler and latents.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to train.")
    threads: Annotated[int, Field(ge=0)] = Field(0, description="CPU threads; 0 leaves the choice to torch.")
    report_every_kimg: PositiveFloat = Field(5.0, description="Between two report lines.")
    sample_every_kimg: PositiveFloat = Field(50.0, description="Between two sample grids, each with a checkpoint.")

    @classmethod
    def from_preset(cls, name: str, **changes: Any) -> Self:  # noqa: ANN401 -- checked field by field by pydantic
        """The preset `name` with `changes`, of which those that are None do not count.

        Raises ConfigError for an unknown preset or a wrong value.
        """
        if name not in PRESETS:
            raise ConfigError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
        given = {key: value for key, value in changes.items() if value is not None}
        try:
            return cls(**{"preset": name, **PRESETS[name], **given})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

    def require_same_game(self, other: Self) -> None:
        """Raise ConfigError that names each setting in which a resumed run may not differ, and does."""
        mine, theirs = self.model_dump(), other.model_dump()
        differing = [k for k in mine if k not in RESUME_MAY_CHANGE and mine[k] != theirs[k]]
        if self.kimg != other.kimg and self.lr_decay:
            differing.append("kimg")  # the learning rate's course is a function of the run's length
        if differing:
            told = "; ".join(f"{key} was {mine[key]}, is now {theirs[key]}" for key in differing)
            raise ConfigError(f"cannot resume with other settings: {told}")


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
    # Radford et al. (2016) made class-conditional; learning rates after Heusel et al. (2017), two time scales.
    "dcgan": {
        "network": "dcgan",
        "loss": "non-saturating",
        "generator_width": 96,
        "discriminator_width": 64,
        "kimg": 1200.0,
        "g_lr": 2e-4,
        "d_lr": 4e-4,
        "beta1": 0.0,
        "beta2": 0.99,
        "ema_half_life_kimg": 20.0,
    },
}
