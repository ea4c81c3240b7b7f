"""`gantrain package`: an ONNX generator that was trained elsewhere, and its discriminator -> a verified bundle."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle import Manifest, sample_latents
from bundle.manifest import (
    DiscriminatorSpec,
    GeneratorSpec,
    Golden,
    ImageSpec,
    TrainingRecord,
    TruncationSpec,
    tensor,
)
from training.calibration import Calibrated, calibrate, draw_trial, score_histogram
from training.card import recognise_truncated
from training.data import Split
from training.errors import ConfigError
from training.evaluate import Evaluation, evaluate
from training.metrics.features import AnyExtractor
from training.packaging.card import package_card
from training.packaging.discriminator import (
    UNCALIBRATED,
    DiscriminatorOptions,
    PackagedDiscriminator,
    package_discriminator,
)
from training.packaging.generator import GeneratorOptions, PackagedGenerator, package_generator
from training.packaging.source import Source, read_source
from training.players import OnnxPlayers, open_session
from training.publication import (
    GOLDEN_SEEDS,
    GOLDEN_TOLERANCE,
    HALF_TOLERANCE,
    golden_classes,
    now,
    npy,
    publish,
    write_manifest,
)
from training.report import sample_grid, save_png

PRESET = "third-party"
"""What the manifest says in place of a preset."""
_SHEET_PIXELS = 2560
"""The samples of large images are fewer, so that the sheet stays about as large."""


MeasureOn = Callable[[tuple[int, int, int]], tuple[Split, AnyExtractor | None]]
"""Loads the data set for images of a height, width and channels, and the extractor that goes with it, if any."""


@dataclass(frozen=True)
class PackageOrder:
    """What the bundle is to be called, and what was said of the graphs; version None takes the next free number."""

    name: str
    licence: str
    version: int | None = None
    dataset: str | None = None
    generator: GeneratorOptions = field(default_factory=GeneratorOptions)
    discriminator: DiscriminatorOptions = field(default_factory=DiscriminatorOptions)


@dataclass(frozen=True)
class _Parts:
    """What the two graphs have become."""

    generator: PackagedGenerator
    golden: NDArray[np.uint8]
    discriminator: PackagedDiscriminator | None
    sources: dict[str, Source]


def package(
    generator: Path,
    discriminator: Path | None,
    models: Path,
    order: PackageOrder,
    *,
    measure_on: MeasureOn | None,
    say: Callable[[str], None],
) -> Path:
    """Write the bundle `models/<name>/<version>` of the ONNX files, and return its folder.

    With a data set the discriminator is calibrated, and what can be is measured. Raises PackageError, ConfigError and
    ExportError, in whose case nothing is written.
    """
    sources = {"generator": read_source(generator)}
    made = package_generator(sources["generator"], order.generator)
    for fact in made.facts:
        say(f"generator: {fact}")
    classes = golden_classes(made.classes)
    golden = _images(made, sample_latents(made.latent, GOLDEN_SEEDS), classes)
    judge = None
    if discriminator is not None:
        sources["discriminator"] = read_source(discriminator)
        judge = package_discriminator(sources["discriminator"], order.discriminator, made.picture, made.classes, golden)
        for fact in judge.facts:
            say(f"discriminator: {fact}")
    split, extractor = measure_on(made.picture.shape) if measure_on else (None, None)
    if split is not None:
        _require_like(made, split)

    def write(folder: Path, version: int) -> None:
        _write(folder, _Parts(made, golden, judge, sources), order, version, split, extractor, say)

    return publish(models, order.name, order.version, write)


def _require_like(made: PackagedGenerator, split: Split) -> None:
    if made.picture.shape != split.held_out.shape:
        raise ConfigError(f"the generator makes {made.picture.shape} images, the data set has {split.held_out.shape}")
    if made.classes is not None and made.classes != split.held_out.classes:
        raise ConfigError("the generator has other classes than the data set; name them, in order, with --classes FILE")


def _images(made: PackagedGenerator, z: NDArray[np.float32], class_ids: NDArray[np.int64] | None) -> NDArray[np.uint8]:
    feed: dict[str, NDArray[np.generic]] = {"z": z}
    if class_ids is not None:
        feed["class_id"] = class_ids
    if made.truncation is not None:
        feed["truncation"] = np.ones(len(z), dtype=np.float32)
    images: NDArray[np.uint8] = open_session(made.graph).run(["image"], feed)[0]
    return images


def _write(  # noqa: PLR0917 -- the one caller hands on what it was given
    folder: Path,
    parts: _Parts,
    order: PackageOrder,
    version: int,
    split: Split | None,
    extractor: AnyExtractor | None,
    say: Callable[[str], None],
) -> None:
    made, judge = parts.generator, parts.discriminator
    files = {"generator.onnx": made.graph, "golden.npy": npy(parts.golden)}
    if judge is not None:
        files["discriminator.onnx"] = judge.graph(UNCALIBRATED, UNCALIBRATED)
    manifest = _put(folder, files, parts, order, version, split, None)
    if judge is not None and split is not None:
        players = OnnxPlayers(folder)
        trial = draw_trial(players, split.held_out)
        calibrated = calibrate(players, trial)
        record = calibrated.record
        say(f"calibrated on {record.n} images, expected calibration error {record.expected_calibration_error:.3f}")
        files["discriminator.onnx"] = judge.graph(calibrated.stated, calibrated.not_stated)
        manifest = _put(folder, files, parts, order, version, split, calibrated)
        record = record.model_copy(update={"scores": score_histogram(OnnxPlayers(folder), trial)})
        manifest = manifest.model_copy(update={"calibration": record})
    players = OnnxPlayers(folder)
    evaluation, truncated = Evaluation({}), None
    if split is not None:
        say("measuring the packaged graphs")
        evaluation = evaluate(players, split, extractor, say=say)
        truncated = recognise_truncated(players, extractor)
        manifest = manifest.model_copy(update={"metrics": evaluation.metrics})
        write_manifest(folder, manifest)
    side = min(10, max(3, _SHEET_PIXELS // max(made.picture.height, made.picture.width)))
    save_png(sample_grid(players.images, made.latent, made.classes, side=side), folder / "samples.png")
    facts = {"generator": made.facts, **({"discriminator": judge.facts} if judge else {})}
    card = package_card(
        manifest, {name: source.hashes for name, source in parts.sources.items()}, facts, evaluation, truncated
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def _put(  # noqa: PLR0917 -- as above
    folder: Path,
    files: dict[str, bytes],
    parts: _Parts,
    order: PackageOrder,
    version: int,
    split: Split | None,
    calibrated: Calibrated | None,
) -> Manifest:
    """Write the files and the manifest that names them."""
    for file, data in files.items():
        (folder / file).write_bytes(data)
    hashes = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
    made, judge = parts.generator, parts.discriminator
    height, width, channels = made.picture.shape
    image = tensor("image", "uint8", "batch", height, width, channels)
    class_input = (tensor("class_id", "int64", "batch"),) if made.classes else ()
    psi_input = (tensor("truncation", "float32", "batch"),) if made.truncation else ()
    spec = None
    if judge is not None:
        outputs = (
            tensor("logit", "float32", "batch"),
            tensor("probability", "float32", "batch"),
            tensor("features", "float32", "batch", judge.feature_dim),
        )
        spec = DiscriminatorSpec(
            file="discriminator.onnx",
            sha256=hashes["discriminator.onnx"],
            inputs=(image, *class_input),
            outputs=outputs,
        )
    classes = golden_classes(made.classes)
    manifest = Manifest(
        schema_version=1,
        name=order.name,
        version=version,
        created=now(),
        generator=GeneratorSpec(
            file="generator.onnx",
            sha256=hashes["generator.onnx"],
            inputs=(tensor("z", "float32", "batch", made.latent.dim), *class_input, *psi_input),
            output=image,
            precision=made.precision,
        ),
        discriminator=spec,
        latent=made.latent,
        image=ImageSpec(height=height, width=width, channels=channels),  # type: ignore[arg-type]  # 1 or 3, checked
        classes=made.classes,
        truncation=TruncationSpec(supported=made.truncation is not None, kind=made.truncation),
        calibration=calibrated.record if calibrated else None,
        golden=Golden(
            file="golden.npy",
            sha256=hashes["golden.npy"],
            seeds=GOLDEN_SEEDS,
            class_ids=None if classes is None else tuple(int(number) for number in classes),
            tolerance=GOLDEN_TOLERANCE if made.precision == "float32" else HALF_TOLERANCE,
        ),
        training=TrainingRecord(
            preset=PRESET,
            dataset=order.dataset or (split.train.name if split else "not stated"),
            images_seen=0,
            seed=0,
            git_commit=None,
        ),
        metrics={},
        license=order.licence,
        opset=made.opset,
    )
    write_manifest(folder, manifest)
    return manifest
