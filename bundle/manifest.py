"""`manifest.json`: what a bundle says of itself."""

import math
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

MANIFEST_FILE = "manifest.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+$", max_length=100)]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
DataType = Literal["float32", "int64", "uint8"]
Precision = Literal["float32", "float16"]

SCORE_BINS = 20
"""Equal bins on [0, 1] that scores are counted in."""
Shares = Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=SCORE_BINS, max_length=SCORE_BINS)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TensorSpec(_Part):
    """One input or output of a graph; the first dimension is always the batch, named `batch`."""

    name: str
    dtype: DataType
    shape: Annotated[tuple[Literal["batch"] | PositiveInt, ...], Field(min_length=1, max_length=8)]


class GeneratorSpec(_Part):
    """The generator graph: `z` (and `class_id`, `truncation` where supported) -> uint8 NHWC `image`.

    `precision` is that of its convolutions and products; inputs and output have the same types either way.
    """

    file: FileName
    sha256: Sha256
    inputs: tuple[TensorSpec, ...]
    output: TensorSpec
    precision: Precision = "float32"


class DiscriminatorSpec(_Part):
    """The discriminator graph: uint8 NHWC `image` (and `class_id`) -> `logit`, `probability`, `features`.

    `class_id` -1 means "class not stated": the graph then scores the image over all classes.
    """

    file: FileName
    sha256: Sha256
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class EncoderSpec(_Part):
    """The encoder graph: uint8 NHWC `image` -> `z` that the generator makes it from, as nearly as the encoder can tell.

    Where there are classes, `class_logits` says which one the generator is to be given as well.
    """

    file: FileName
    sha256: Sha256
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class LatentSpec(_Part):
    """All that a client needs in order to draw z: the distribution, the length, the sampler's name."""

    distribution: Literal["normal", "uniform"]
    dim: Annotated[PositiveInt, Field(le=65536)]
    sampler: Literal["numpy.RandomState"] = "numpy.RandomState"


class ImageSpec(_Part):
    """Height and width in pixels; 1 channel is grey, 3 are RGB."""

    height: Annotated[PositiveInt, Field(le=4096)]
    width: Annotated[PositiveInt, Field(le=4096)]
    channels: Literal[1, 3]


class TruncationSpec(_Part):
    """Whether the generator takes psi per row, and what it does: `scale_z` feeds psi * z to the network."""

    supported: bool
    kind: Literal["scale_z", "toward_mean_w"] | None

    @model_validator(mode="after")
    def _kind_goes_with_support(self) -> Self:
        if self.supported != (self.kind is not None):
            raise ValueError("truncation.kind is given exactly when truncation is supported")
        return self


class ScoreHistogram(_Part):
    """How the calibrated probability spreads over held-out real and over generated images, `n` of each.

    Shares of them in 20 equal bins on [0, 1], from the lowest. No class was stated when they were scored.
    """

    real: Shares
    generated: Shares
    n: PositiveInt

    @model_validator(mode="after")
    def _shares_make_a_whole(self) -> Self:
        for name, shares in (("real", self.real), ("generated", self.generated)):
            if abs(math.fsum(shares) - 1) > 1e-6:
                raise ValueError(f"the shares of {name} images sum to {math.fsum(shares):g}, not to 1")
        return self


class Calibration(_Part):
    """How the discriminator's logit was turned into a probability, fitted on `n` held-out images.

    `expected_calibration_error` and `scores` are measured on images that took no part in the fit; older bundles do not
    tell their scores.
    """

    method: Literal["platt"]
    parameters: dict[str, float]
    expected_calibration_error: Annotated[float, Field(ge=0, le=1)]
    n: PositiveInt
    scores: ScoreHistogram | None = None


class TrainingRecord(_Part):
    """Where the weights come from."""

    preset: str
    dataset: str
    images_seen: Annotated[int, Field(ge=0)]
    seed: int
    git_commit: str | None


class Metric(_Part):
    """A measured figure; `extractor` is the SHA-256 of the feature extractor that it depends on, and
    `floor` is what real training images score against real test images under the same measurement."""

    value: float
    n: PositiveInt
    extractor: Sha256 | None = None
    floor: float | None = None


class Golden(_Part):
    """Images that the generator must make again, uint8 NHWC in a .npy file, before it may serve.

    A reader compares within `tolerance` grey levels per pixel, which covers other providers' rounding.
    """

    file: FileName
    sha256: Sha256
    seeds: tuple[int, ...]
    class_ids: tuple[int, ...] | None
    tolerance: Annotated[int, Field(ge=0, le=255)]


class Manifest(_Part):
    """Everything a service must know to serve the bundle, and a reader to trust it."""

    schema_version: Literal[1]
    name: ModelName
    version: PositiveInt
    created: datetime
    generator: GeneratorSpec
    discriminator: DiscriminatorSpec | None
    encoder: EncoderSpec | None = None
    latent: LatentSpec
    image: ImageSpec
    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=100_000)] | None
    truncation: TruncationSpec
    calibration: Calibration | None
    golden: Golden
    training: TrainingRecord
    metrics: dict[str, Metric]
    license: str
    opset: PositiveInt

    @model_validator(mode="after")
    def _graphs_match_the_description(self) -> Self:
        image = tensor("image", "uint8", "batch", self.image.height, self.image.width, self.image.channels)
        _require(self.generator.inputs, self.generator_inputs(), "generator.inputs")
        _require((self.generator.output,), (image,), "generator.output")
        if self.discriminator is not None:
            expected = [image]
            if self.classes is not None:
                expected.append(tensor("class_id", "int64", "batch"))
            _require(self.discriminator.inputs, tuple(expected), "discriminator.inputs")
            names = tuple(output.name for output in self.discriminator.outputs)
            if names != ("logit", "probability", "features"):
                raise ValueError("discriminator.outputs are logit, probability and features, in this order")
        elif self.calibration is not None:
            raise ValueError("calibration describes a discriminator, and there is none")
        if self.encoder is not None:
            _require(self.encoder.inputs, (image,), "encoder.inputs")
            _require(self.encoder.outputs, self.encoder_outputs(), "encoder.outputs")
        if (self.golden.class_ids is None) != (self.classes is None):
            raise ValueError("golden.class_ids are given exactly when there are classes")
        if self.golden.class_ids is not None and len(self.golden.class_ids) != len(self.golden.seeds):
            raise ValueError("golden.class_ids and golden.seeds differ in length")
        return self

    def generator_inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs that a generator with this latent, these classes and this truncation takes, in order."""
        inputs = [tensor("z", "float32", "batch", self.latent.dim)]
        if self.classes is not None:
            inputs.append(tensor("class_id", "int64", "batch"))
        if self.truncation.supported:
            inputs.append(tensor("truncation", "float32", "batch"))
        return tuple(inputs)

    def encoder_outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs of an encoder for this latent and these classes, in order."""
        outputs = [tensor("z", "float32", "batch", self.latent.dim)]
        if self.classes is not None:
            outputs.append(tensor("class_logits", "float32", "batch", len(self.classes)))
        return tuple(outputs)


def tensor(name: str, dtype: DataType, *shape: Literal["batch"] | int) -> TensorSpec:
    """A TensorSpec in one line."""
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def _require(found: tuple[TensorSpec, ...], expected: tuple[TensorSpec, ...], where: str) -> None:
    if found != expected:
        wanted = ", ".join(f"{t.name} {t.dtype}{list(t.shape)}" for t in expected)
        raise ValueError(f"{where} must be {wanted}")
