"""The bodies of answers, as the OpenAPI page describes them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bundle.manifest import Calibration, ImageSpec, LatentSpec, Metric, TrainingRecord, TruncationSpec


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelRef(_Answer):
    """The model version that did the work; `digest` is the SHA-256 of its manifest."""

    name: str = Field(examples=["mnist"])
    version: int = Field(examples=[1])
    digest: str


class ImageRecord(_Answer):
    """One image. With `layout: grid`, and in a zip's images.json, `data` is left out."""

    index: int
    seed: int | None = Field(description="null for an image made from a latent.")
    class_id: int | None = Field(description="null for a model without classes.")
    format: Literal["png", "jpeg", "webp", "npy"]
    width: int
    height: int
    data: str | None = Field(None, description="Base64 of the file.")
    file: str | None = Field(None, description="The file's name, in a zip.")
    realness: float | None = Field(None, description="When the discriminator judged the image.")
    accepted: bool | None = Field(None, description="With `min_realness`: whether it was reached.")
    attempts: int | None = Field(None, description="With `min_realness`: how many images were drawn.")
    latent: list[float] | None = Field(None, description="With `include: [latents]`: z.")


class GridRecord(_Answer):
    """The sheet of `layout: grid`: images row by row, without gaps, black where none is left."""

    format: Literal["png", "jpeg", "webp", "npy"]
    columns: int
    rows: int
    width: int
    height: int
    data: str | None = Field(None, description="Base64 of the file.")
    file: str | None = Field(None, description="The file's name, in a zip.")


class GenerateTimings(_Answer):
    """Milliseconds in the queue, in the networks, and in encoding."""

    queue: float
    inference: float
    encode: float


class GenerateResponse(_Answer):
    """Generated images; `id` is the request's id."""

    id: str
    model: ModelRef
    images: list[ImageRecord]
    grid: GridRecord | None = None
    timings_ms: GenerateTimings


class AnimationRecord(_Answer):
    """A walk. In a zip's images.json there is no `format` or `data`, and `files` names the frames."""

    format: Literal["webp", "gif", "apng"] | None = None
    frames: int
    width: int
    height: int
    fps: float
    loop: bool
    seeds: list[int] | None = Field(description="Of the key frames; null where these were latents.")
    data: str | None = Field(None, description="Base64 of the animation.")
    files: list[str] | None = Field(None, description="The frames' names, in a zip.")


class InterpolateResponse(_Answer):
    """An animation; `id` is the request's id."""

    id: str
    model: ModelRef
    animation: AnimationRecord
    timings_ms: GenerateTimings


class ScoreRecord(_Answer):
    """How one image looks to the discriminator; `changes` says what was done to make it fit."""

    index: int
    logit: float
    realness: float = Field(ge=0, le=1, description="The probability that the image is real.")
    changes: list[str] = Field(examples=[["converted RGB to grey", "resized 100x80 to 28x28"]])
    features: list[float] | None = None


class DiscriminateResponse(_Answer):
    """Scores; `calibrated` says whether `realness` is a probability measured on held-out images."""

    id: str
    model: ModelRef
    calibrated: bool
    results: list[ScoreRecord]


class InverseRecord(_Answer):
    """What one image was found to be made from; posting `latent` and `class_id` to /generate makes the nearest image.

    Errors are mean squared differences from the upload as it was made to fit, of pixels in [0, 1].
    """

    index: int
    latent: list[float]
    class_id: int | None = Field(description="The class that was given or found; null without classes.")
    error: float = Field(ge=0)
    error_before: float = Field(ge=0, description="That of the encoder's guess alone.")
    evaluations: int = Field(ge=0, description="Candidates that the search looked at.")
    changes: list[str]
    image: str | None = Field(None, description="The nearest image, a PNG in base64.")


class InvertResponse(_Answer):
    """An inverse per image, in order."""

    id: str
    model: ModelRef
    results: list[InverseRecord]


class ModelDescription(_Answer):
    """A model version, as its manifest tells it."""

    name: str
    version: int
    digest: str
    provider: str = Field(examples=["CPUExecutionProvider"])
    discriminator: bool = Field(description="Whether POST /discriminate, best_of and min_realness work with it.")
    encoder: bool = Field(description="Whether POST /invert works with it.")
    calibration: Calibration | None
    latent: LatentSpec
    image: ImageSpec
    classes: list[str] | None
    truncation: TruncationSpec
    training: TrainingRecord
    metrics: dict[str, Metric]
    license: str
    created: str


class ModelVersion(ModelDescription):
    """A model version with its model card, in Markdown."""

    card: str | None


class LoadFailure(_Answer):
    """A version that is not served as it is in the repository; without a name it is the whole repository."""

    name: str | None
    version: int | None
    reason: str = Field(examples=["generator.onnx: No such file or directory"])


class ModelsResponse(_Answer):
    """What is served; `default` is what a request without `model` gets."""

    default: str = Field(examples=["mnist@1"])
    models: list[ModelDescription]
    failed: list[LoadFailure] = Field(description="What the last look at the repository could not load, and why.")


class ModelResponse(_Answer):
    """The versions of one model; `default` is what its bare name means."""

    name: str
    default: str
    versions: list[ModelVersion]


class LiveResponse(_Answer):
    """The process is worth keeping."""

    status: Literal["live"]


class ProviderRecord(_Answer):
    """A model version and the execution provider that runs it."""

    model: str
    provider: str


class ReadyResponse(_Answer):
    """Requests are welcome."""

    status: Literal["ready"]
    models: list[ProviderRecord]
