"""`gantrain evaluate`: the figures of a run or a bundle, each beside what real images reach."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle import MANIFEST_FILE, sample_latents
from bundle.manifest import Metric
from training.data import Split
from training.errors import DataError
from training.metrics.features import Extractor
from training.metrics.fid import frechet_distance
from training.metrics.ranking import roc_auc
from training.players import CLASS_NOT_STATED, OnnxPlayers, Players, TorchPlayers

FIRST = 100
"""Seeds per class that the per-class table counts."""


@dataclass(frozen=True)
class Recognition:
    """Of `images` generated per class, how many the extractor's classifier took for that class."""

    truncation: float
    images: int
    by_class: dict[str, int]


@dataclass(frozen=True)
class Evaluation:
    """Named figures, and for a conditional pair the first 100 images of each class class by class."""

    metrics: dict[str, Metric]
    recognition: Recognition | None = None


def open_players(path: Path) -> Players:
    """The players in `path`: a bundle where there is a manifest, a run's folder or a checkpoint otherwise."""
    return OnnxPlayers(path) if (path / MANIFEST_FILE).is_file() else TorchPlayers(path)


def evaluate(
    players: Players, split: Split, extractor: Extractor | None, *, images: int = 10_000, truncation: float = 1.0
) -> Evaluation:
    """Measure `players` with `images` generated ones (seeds 0, 1, ... within each class) against held-out real ones.

    Without an extractor only the discriminator is measured. Raises DataError when the data set is of another size than
    the players' images, or the extractor knows other classes.
    """
    if players.shape != split.held_out.shape:
        raise DataError(f"the networks make {players.shape} images, the data set has {split.held_out.shape}")
    if extractor is not None and players.classes not in {None, extractor.classes}:
        raise DataError("the extractor was trained on other classes than the generator")
    count = len(players.classes) if players.classes else 1
    per_class = max(images // count, 2)
    made, class_ids = _draw(players, per_class, truncation)
    evaluation = Evaluation({})
    if extractor is not None:
        evaluation = _measure_images(made, class_ids, split, extractor, truncation)
    if players.has_discriminator:
        evaluation.metrics.update(_measure_scores(made, players, split))
    return evaluation


def recognise(players: Players, extractor: Extractor, *, truncation: float) -> Recognition | None:
    """The first 100 images of each class at a truncation, judged by the extractor; None without classes."""
    made, class_ids = _draw(players, FIRST, truncation)
    return (
        None if class_ids is None else _recognition(extractor(made)[1] == class_ids, class_ids, extractor, truncation)
    )


def _draw(players: Players, per_class: int, truncation: float) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    """Images of the seeds 0, 1, ... for each class in turn, and their classes."""
    count = len(players.classes) if players.classes else 1
    class_ids = np.repeat(np.arange(count, dtype=np.int64), per_class) if players.classes else None
    z = sample_latents(players.latent, list(range(per_class)) * count)
    return players.images(z, class_ids, truncation=truncation), class_ids


def _recognition(
    right: NDArray[np.bool_], class_ids: NDArray[np.int64], extractor: Extractor, truncation: float
) -> Recognition:
    counted = min(FIRST, len(right) // len(extractor.classes))
    by_class = {name: int(right[class_ids == index][:counted].sum()) for index, name in enumerate(extractor.classes)}
    return Recognition(truncation, counted, by_class)


def _measure_images(
    made: NDArray[np.uint8],
    class_ids: NDArray[np.int64] | None,
    split: Split,
    extractor: Extractor,
    truncation: float,
) -> Evaluation:
    features, judged = extractor(made)
    real_test, test_judged = extractor(split.held_out.images)
    real_train, _ = extractor(split.train.images[: len(made)])
    fid = Metric(
        value=frechet_distance(features, real_test),
        n=len(made),
        extractor=extractor.sha256,
        floor=frechet_distance(real_train, real_test),
    )
    labels = split.held_out.labels
    if class_ids is None or labels is None:
        return Evaluation({"fid": fid})
    right, real_right = judged == class_ids, test_judged == labels
    by_class = [right[class_ids == index] for index in range(len(extractor.classes))]
    real_by_class = [real_right[labels == index] for index in range(len(extractor.classes)) if (labels == index).any()]
    accuracy = Metric(
        value=float(right.mean()), n=len(made), extractor=extractor.sha256, floor=float(real_right.mean())
    )
    worst = Metric(
        value=min(float(part.mean()) for part in by_class),
        n=len(made) // len(by_class),
        extractor=extractor.sha256,
        floor=min(float(part.mean()) for part in real_by_class),
    )
    return Evaluation(
        {"fid": fid, "conditional_accuracy": accuracy, "conditional_accuracy_worst_class": worst},
        _recognition(right, class_ids, extractor, truncation),
    )


def _measure_scores(made: NDArray[np.uint8], players: Players, split: Split) -> dict[str, Metric]:
    """Areas under the ROC curve of D's score with the class not stated, as a client without labels would ask."""
    noise = np.random.default_rng(0).integers(0, 256, size=split.held_out.images.shape, dtype=np.uint8)

    def scores(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        return players.logits(images, np.full(len(images), CLASS_NOT_STATED, dtype=np.int64))

    real = scores(split.held_out.images)
    return {
        "auc_real_against_noise": Metric(value=roc_auc(real, scores(noise)), n=2 * len(real)),
        "auc_real_against_generated": Metric(value=roc_auc(real, scores(made)), n=len(real) + len(made)),
    }
