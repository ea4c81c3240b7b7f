"""`gantrain export`: a run's smoothed generator and its discriminator -> a verified model bundle."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle import Manifest, sample_latents
from bundle.manifest import (
    DiscriminatorSpec,
    GeneratorSpec,
    Golden,
    ImageSpec,
    Precision,
    TrainingRecord,
    TruncationSpec,
    tensor,
)
from training.calibration import Calibrated, calibrate, draw_trial, score_histogram
from training.card import model_card, recognise_truncated
from training.data import Split
from training.errors import ConfigError
from training.evaluate import evaluate
from training.graphs import (
    GREY_LEVELS,
    OPSET,
    PARITY_BATCHES,
    DiscriminatorGraph,
    GeneratorGraph,
    export_graph,
    require_batch_independence,
    require_parity,
)
from training.half import in_half_precision
from training.metrics.features import AnyExtractor
from training.players import CLASS_NOT_STATED, OnnxPlayers, TorchPlayers, run_generator
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
from training.studies import feature_probe


@dataclass(frozen=True)
class BundleOrder:
    """What the bundle is to be called and to hold; version None takes the next free number."""

    name: str
    version: int | None = None
    licence: str = "Apache-2.0"
    discriminator: bool = True
    precision: Precision = "float32"


def export(
    run: Path,
    split: Split,
    models: Path,
    order: BundleOrder,
    *,
    extractor: AnyExtractor | None,
    say: Callable[[str], None],
) -> Path:
    """Write the bundle `models/<name>/<version>` and return its folder.

    Everything is built beside its place, read back and verified, and only then renamed. Raises ExportError when a graph
    does not equal its network or a score depends on its batch mates, ConfigError when the version is taken.
    """
    players = TorchPlayers(run, device="cpu")
    if players.shape != split.held_out.shape:
        raise ConfigError(f"the run makes {players.shape} images, the data set has {split.held_out.shape}")
    if players.classes is not None and players.classes != split.held_out.classes:
        raise ConfigError("the run was trained on other classes than this data set has")

    def write(folder: Path, version: int) -> None:
        _write(folder, players, split, replace(order, version=version), extractor, say)

    return publish(models, order.name, order.version, write)


def _write(  # noqa: PLR0917 -- the one caller hands on what it was given
    folder: Path,
    players: TorchPlayers,
    split: Split,
    order: BundleOrder,
    extractor: AnyExtractor | None,
    say: Callable[[str], None],
) -> None:
    files = {"generator.onnx": _export_generator(players, order.precision, say)}
    calibrated = None
    if order.discriminator:
        calibrated = calibrate(players, draw_trial(players, split.held_out))
        record = calibrated.record
        say(f"calibrated on {record.n} images, expected calibration error {record.expected_calibration_error:.3f}")
        files["discriminator.onnx"] = _export_discriminator(players, calibrated, split, say)
    z, classes = sample_latents(players.latent, GOLDEN_SEEDS), golden_classes(players.classes)
    if order.precision == "float32":
        golden = players.images(z, classes)
    else:  # torch's images are those of another precision
        golden = run_generator(files["generator.onnx"], z, classes)
    files["golden.npy"] = npy(golden)
    for file, data in files.items():
        (folder / file).write_bytes(data)
    hashes = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
    manifest = _manifest(players, split, order, hashes, calibrated)
    write_manifest(folder, manifest)
    say("measuring the exported graphs")
    exported = OnnxPlayers(folder)
    evaluation = evaluate(exported, split, extractor, say=say)
    if order.discriminator and split.train.labels is not None and split.held_out.labels is not None:
        evaluation.metrics["feature_probe"] = feature_probe(exported, split)
    truncated = recognise_truncated(exported, extractor)
    manifest = manifest.model_copy(update={"metrics": evaluation.metrics})
    if calibrated is not None:
        scores = score_histogram(exported, draw_trial(exported, split.held_out))
        record = calibrated.record.model_copy(update={"scores": scores})
        manifest = manifest.model_copy(update={"calibration": record})
    write_manifest(folder, manifest)
    save_png(sample_grid(exported.images, players.latent, players.classes), folder / "samples.png")
    (folder / "README.md").write_text(
        model_card(manifest, evaluation, truncated, players.config, images_before=players.images_before),
        encoding="utf-8",
    )


def _export_generator(players: TorchPlayers, precision: Precision, say: Callable[[str], None]) -> bytes:
    module = GeneratorGraph(players.generator)

    def batch(size: int) -> dict[str, Tensor]:
        inputs = {"z": torch.from_numpy(sample_latents(players.latent, range(size)))}
        if players.classes:
            inputs["class_id"] = torch.arange(size) % len(players.classes)
        return {**inputs, "truncation": torch.linspace(1.0, 0.25, size)}

    graph = export_graph(module, batch(2), ["image"])
    allowed = GREY_LEVELS
    if precision == "float16":
        graph, allowed = in_half_precision(graph), HALF_TOLERANCE
    batches = {size: batch(size) for size in PARITY_BATCHES}
    worst = require_parity(module, graph, batches, grey_levels=allowed)
    numpy_batch = {key: value.numpy() for key, value in batch(64).items()}
    row = {key: value[:1] for key, value in numpy_batch.items()}
    alone = require_batch_independence(graph, row, [{key: value[1:] for key, value in numpy_batch.items()}])
    say(f"generator.onnx: {len(graph):,} bytes, {worst:g} grey levels from torch, {alone:g} from its row alone")
    return graph


def _export_discriminator(
    players: TorchPlayers, calibrated: Calibrated, split: Split, say: Callable[[str], None]
) -> bytes:
    module = DiscriminatorGraph(players.discriminator, stated=calibrated.stated, not_stated=calibrated.not_stated)
    real = split.held_out.images

    def batch(size: int, images: NDArray[np.uint8] = real) -> dict[str, Tensor]:
        inputs = {"image": torch.from_numpy(np.resize(images, (size, *images.shape[1:])))}
        if players.classes:
            inputs["class_id"] = torch.arange(size) % (len(players.classes) + 1) + CLASS_NOT_STATED
        return inputs

    graph = export_graph(module, batch(2), ["logit", "probability", "features"])
    worst = require_parity(module, graph, {size: batch(size) for size in PARITY_BATCHES})
    row = {key: value.numpy() for key, value in batch(1).items()}
    noise = np.random.default_rng(0).integers(0, 256, size=real[:63].shape, dtype=np.uint8)
    strangers = [real[1:64], noise, np.zeros_like(noise), np.full_like(noise, 255)]
    mates = [{key: value.numpy() for key, value in batch(len(group), group).items()} for group in strangers]
    alone = require_batch_independence(graph, row, mates)
    say(f"discriminator.onnx: {len(graph):,} bytes, {worst:.1e} from torch, {alone:.1e} whoever shares the batch")
    return graph


def _manifest(
    players: TorchPlayers, split: Split, order: BundleOrder, hashes: dict[str, str], calibrated: Calibrated | None
) -> Manifest:
    height, width, channels = players.shape
    image = tensor("image", "uint8", "batch", height, width, channels)
    class_input = (tensor("class_id", "int64", "batch"),) if players.classes else ()
    inputs = (
        tensor("z", "float32", "batch", players.latent.dim),
        *class_input,
        tensor("truncation", "float32", "batch"),
    )
    discriminator = None
    if calibrated is not None:
        outputs = (
            tensor("logit", "float32", "batch"),
            tensor("probability", "float32", "batch"),
            tensor("features", "float32", "batch", players.discriminator.feature_dim),
        )
        discriminator = DiscriminatorSpec(
            file="discriminator.onnx",
            sha256=hashes["discriminator.onnx"],
            inputs=(image, *class_input),
            outputs=outputs,
        )
    return Manifest(
        schema_version=1,
        name=order.name,
        version=order.version or 1,
        created=now(),
        generator=GeneratorSpec(
            file="generator.onnx",
            sha256=hashes["generator.onnx"],
            inputs=inputs,
            output=image,
            precision=order.precision,
        ),
        discriminator=discriminator,
        latent=players.latent,
        image=ImageSpec(height=height, width=width, channels=channels),  # type: ignore[arg-type]  # 1 or 3, validated
        classes=players.classes,
        truncation=TruncationSpec(supported=True, kind="scale_z"),
        calibration=calibrated.record if calibrated else None,
        golden=Golden(
            file="golden.npy",
            sha256=hashes["golden.npy"],
            seeds=GOLDEN_SEEDS,
            class_ids=tuple(seed % len(players.classes) for seed in GOLDEN_SEEDS) if players.classes else None,
            tolerance=GOLDEN_TOLERANCE if order.precision == "float32" else HALF_TOLERANCE,
        ),
        training=TrainingRecord(
            preset=players.config.preset,
            dataset=split.train.name,
            images_seen=players.images_seen + players.images_before,
            seed=players.config.seed,
            git_commit=players.state.facts.get("git_commit"),
        ),
        metrics={},
        license=order.licence,
        opset=OPSET,
    )
