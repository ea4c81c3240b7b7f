"""`gantrain fit-encoder`: a bundle -> its next version, which has an encoder as well."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import Bundle, Manifest, read_bundle, sample_latents
from bundle.manifest import EncoderSpec, Metric
from training.card import INVERSION_METRICS, with_encoder
from training.data import ImageSet, Split
from training.encoder import Course, Teacher, train_encoder
from training.errors import ConfigError
from training.graphs import (
    PARITY_BATCHES,
    EncoderGraph,
    export_graph,
    require_batch_independence,
    require_parity,
)
from training.networks.encoder import Encoder
from training.players import OnnxPlayers, TorchPlayers, open_session
from training.publication import copy_files, next_manifest, publish_next, write_manifest

ENCODER_FILE = "encoder.onnx"
_MEASURED = 1000
_SEEDS = range(1_000_000, 1_000_000 + _MEASURED)
_ROWS = 250


@dataclass(frozen=True)
class Inverted:
    """Images as the generator makes them from what an encoder found: the squared error of each, and its class.

    `errors` is float64 [n], the mean over pixels in [0, 1]; `class_ids` is int64 [n], or None without classes.
    """

    errors: NDArray[np.float64]
    class_ids: NDArray[np.int64] | None


def fit_encoder(
    source: Path,
    models: Path,
    course: Course,
    *,
    run: TorchPlayers | None,
    split: Split | None,
    threads: int,
    say: Callable[[str], None],
) -> Path:
    """Train an encoder for the bundle in `source` and publish it as the next version in `models`, with the encoder.

    With a `run`, which has to be the one that the bundle was exported from, and the real images of `split`, it learns
    from reconstructions as well. Held-out images of `split` measure it. Raises ConfigError where these do not go
    together, ExportError when the graph does not equal the network or a row depends on its batch mates, Diverged.
    """
    bundle, players = read_bundle(source), OnnxPlayers(source, threads=threads)
    if split is not None and split.held_out.shape != players.shape:
        raise ConfigError(f"the bundle makes {players.shape} images, the data set has {split.held_out.shape}")
    teacher = None
    if run is not None:
        _require_same(bundle, run)
        if split is None:
            raise ConfigError("a run teaches by real images, and there is no data set")
        teacher = Teacher.of_run(run, split.train)
    encoder = train_encoder(players, course, teacher=teacher, report=say)
    graph = export_encoder(encoder, bundle, say)
    metrics = _measure(graph, players, None if split is None else split.held_out, threads=threads)
    for name, metric in metrics.items():
        say(f"{name} {metric.value:.4f} on {metric.n:,} images")
    how = (
        f"`encoder.onnx` was trained by `gantrain fit-encoder` on {course.steps * course.batch_size:,} images"
        f"{', half of them generated and half real' if teacher else ', all of them generated'}, with seed "
        f"{course.seed}. It finds z{' and the class' if players.classes else ''} of an image; a service refines them."
    )

    replaced = {bundle.manifest.encoder.file} if bundle.manifest.encoder else set()

    def write(folder: Path, version: int) -> None:
        manifest = with_spec(bundle.manifest, version, graph, metrics)
        copy_files(bundle, folder, without={ENCODER_FILE, *replaced})
        (folder / ENCODER_FILE).write_bytes(graph)
        card = folder / "README.md"
        if card.is_file():
            card.write_text(with_encoder(card.read_text("utf-8"), manifest, metrics, how), encoding="utf-8")
        write_manifest(folder, manifest)

    return publish_next(bundle, models, write)


def export_encoder(encoder: Encoder, bundle: Bundle, say: Callable[[str], None]) -> bytes:
    """The encoder's graph, proven equal to the network and the same whoever shares the batch. Raises ExportError."""
    module, golden = EncoderGraph(encoder), bundle.golden
    outputs = [output.name for output in bundle.manifest.encoder_outputs()]

    def batch(size: int) -> dict[str, torch.Tensor]:
        return {"image": torch.from_numpy(np.resize(golden, (size, *golden.shape[1:])))}

    graph = export_graph(module, batch(2), outputs)
    worst = require_parity(module, graph, {size: batch(size) for size in PARITY_BATCHES})
    noise = np.random.default_rng(0).integers(0, 256, size=(63, *golden.shape[1:]), dtype=np.uint8)
    strangers = [batch(64)["image"].numpy()[1:], noise, np.zeros_like(noise), np.full_like(noise, 255)]
    alone = require_batch_independence(graph, {"image": golden[:1]}, [{"image": group} for group in strangers])
    say(f"{ENCODER_FILE}: {len(graph):,} bytes, {worst:.1e} from torch, {alone:.1e} whoever shares the batch")
    return graph


def invert(graph: bytes, players: OnnxPlayers, images: NDArray[np.uint8], *, threads: int = 0) -> Inverted:
    """Encode `images`, uint8 [n, height, width, channels], and make them again with the class that was found."""
    session, errors, classes = open_session(graph, threads=threads), [], []
    for start in range(0, len(images), _ROWS):
        part = images[start : start + _ROWS]
        z, *verdict = session.run(None, {"image": part})
        class_ids = verdict[0].argmax(axis=1).astype(np.int64) if verdict else None
        made = players.images(z, class_ids)
        apart = (made.astype(np.float64) - part.astype(np.float64)) / 255.0
        errors.append((apart**2).mean(axis=(1, 2, 3)))
        if class_ids is not None:
            classes.append(class_ids)
    return Inverted(np.concatenate(errors), np.concatenate(classes) if classes else None)


def with_spec(manifest: Manifest, version: int, graph: bytes, metrics: dict[str, Metric]) -> Manifest:
    """The manifest of `version`, which has the encoder `graph` and what it scores."""
    image = manifest.generator.output
    spec = EncoderSpec(
        file=ENCODER_FILE,
        sha256=hashlib.sha256(graph).hexdigest(),
        inputs=(image,),
        outputs=manifest.encoder_outputs(),
    )
    kept = {name: metric for name, metric in manifest.metrics.items() if name not in INVERSION_METRICS}
    return next_manifest(manifest, version, encoder=spec, metrics={**kept, **metrics})


def _measure(graph: bytes, players: OnnxPlayers, real: ImageSet | None, *, threads: int) -> dict[str, Metric]:
    z = sample_latents(players.latent, _SEEDS)
    class_ids = np.arange(len(z), dtype=np.int64) % len(players.classes) if players.classes else None
    metrics = {}
    if real is not None:
        found = invert(graph, players, real.images, threads=threads)
        metrics["inversion_error"] = Metric(value=float(found.errors.mean()), n=len(real))
        if found.class_ids is not None and real.labels is not None and real.classes == players.classes:
            right = float((found.class_ids == real.labels).mean())
            metrics["inversion_class_accuracy"] = Metric(value=right, n=len(real))
    found = invert(graph, players, players.images(z, class_ids), threads=threads)
    metrics["inversion_error_generated"] = Metric(value=float(found.errors.mean()), n=len(z))
    return metrics


def _require_same(bundle: Bundle, run: TorchPlayers) -> None:
    """Raise ConfigError unless the run's generator makes the bundle's golden images."""
    manifest, golden = bundle.manifest, bundle.manifest.golden
    other = ConfigError("the run is another one than the bundle was exported from")
    shape = (manifest.image.height, manifest.image.width, manifest.image.channels)
    if (run.latent, run.shape, run.classes) != (manifest.latent, shape, manifest.classes):
        raise other
    class_ids = None if golden.class_ids is None else np.array(golden.class_ids, dtype=np.int64)
    made = run.images(sample_latents(run.latent, golden.seeds), class_ids)
    if int(np.abs(made.astype(np.int16) - bundle.golden.astype(np.int16)).max()) > golden.tolerance:
        raise other
