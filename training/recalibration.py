"""`gantrain calibrate`: a bundle -> its next version, whose discriminator states a calibrated probability."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle import Bundle, read_bundle
from bundle.manifest import Calibration, DiscriminatorSpec
from training.calibration import FIRST_SEED, calibrate, draw_trial, score_histogram, stated_error
from training.card import with_calibration
from training.data import ImageSet, Split
from training.errors import ConfigError
from training.graphs import PARITY_BATCHES
from training.players import CLASS_NOT_STATED, OnnxPlayers
from training.probability import require_probability, with_probability
from training.publication import copy_files, next_manifest, publish_next, write_manifest

_SEEDS = 2**32


def recalibrate(
    source: Path,
    models: Path,
    split: Split,
    *,
    images: int | None = None,
    first_seed: int = FIRST_SEED,
    threads: int = 0,
    say: Callable[[str], None],
) -> Path:
    """Fit the probability of the bundle in `source` and publish it as the next version in `models`.

    It is fitted on half of the held-out `images` of `split`, all unless fewer are asked for, against as many of the
    seeds from `first_seed` on, and measured on the other half. Raises ConfigError where these do not go together,
    ExportError when more than the probability changes.
    """
    bundle, players = read_bundle(source), OnnxPlayers(source, threads=threads)
    spec, before = bundle.manifest.discriminator, bundle.discriminator
    if spec is None or before is None:
        raise ConfigError(f"{source}: the bundle has no discriminator, and so no probability to calibrate")
    held_out = _some(split.held_out, images)
    _require_like(players, held_out, first_seed)
    trial = draw_trial(players, held_out, first_seed=first_seed)
    fitted = calibrate(players, trial)
    graph = with_probability(before, stated=fitted.stated, not_stated=fitted.not_stated)
    apart = require_probability(
        before, graph, _batches(bundle, held_out.images), stated=fitted.stated, not_stated=fitted.not_stated
    )
    say(f"{spec.file}: logits and features as before, the probability {apart:.1e} from the calibrated logit")
    error = fitted.record.expected_calibration_error
    say(f"expected calibration error {stated_error(players, trial):.4f} before, {error:.4f} now")

    def write(folder: Path, version: int) -> None:
        copy_files(bundle, folder, without={spec.file})
        (folder / spec.file).write_bytes(graph)
        changed = _spec(spec, graph)
        manifest = next_manifest(bundle.manifest, version, discriminator=changed, calibration=fitted.record)
        write_manifest(folder, manifest)
        scores = score_histogram(OnnxPlayers(folder, threads=threads), trial)
        record: Calibration = fitted.record.model_copy(update={"scores": scores})
        manifest = manifest.model_copy(update={"calibration": record})
        write_manifest(folder, manifest)
        card = folder / "README.md"
        if card.is_file():
            card.write_text(with_calibration(card.read_text("utf-8"), manifest, record, held_out.name), "utf-8")

    return publish_next(bundle, models, write)


def _some(held_out: ImageSet, images: int | None) -> ImageSet:
    """That many images, evenly, since a folder's come class by class; all of them where there are no more."""
    if images is None or images >= len(held_out):
        return held_out
    chosen = np.linspace(0, len(held_out) - 1, images).astype(np.int64)
    labels = None if held_out.labels is None else held_out.labels[chosen]
    return replace(held_out, images=held_out.images[chosen], labels=labels, files=None)


def _require_like(players: OnnxPlayers, held_out: ImageSet, first_seed: int) -> None:
    if held_out.shape != players.shape:
        raise ConfigError(f"the bundle makes {players.shape} images, the data set has {held_out.shape}")
    if players.classes is not None and players.classes != held_out.classes:
        raise ConfigError("the bundle has other classes than this data set")
    if len(held_out) < 2:
        raise ConfigError("one half of the held-out images is fitted on and the other measured: two are the least")
    if first_seed + len(held_out) > _SEEDS:
        raise ConfigError(f"seeds end at {_SEEDS - 1}: there are not {len(held_out)} from {first_seed} on")


def _spec(spec: DiscriminatorSpec, graph: bytes) -> DiscriminatorSpec:
    changed: DiscriminatorSpec = spec.model_copy(update={"sha256": hashlib.sha256(graph).hexdigest()})
    return changed


def _batches(bundle: Bundle, real: NDArray[np.uint8]) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Real images, generated ones and noise in batches of every size, under all classes and none."""
    classes = bundle.manifest.classes
    noise = np.random.default_rng(0).integers(0, 256, size=(64, *real.shape[1:]), dtype=np.uint8)
    for images in (real, bundle.golden, noise):
        for size in PARITY_BATCHES:
            batch: dict[str, NDArray[np.generic]] = {"image": np.resize(images, (size, *real.shape[1:]))}
            if classes is not None:
                batch["class_id"] = np.arange(size) % (len(classes) + 1) + CLASS_NOT_STATED
            yield batch
