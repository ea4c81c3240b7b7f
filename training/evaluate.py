"""`gantrain evaluate`: the figures of a run or a bundle, each beside what real images reach."""

from dataclasses import dataclass, field
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
class Evaluation:
    """Named figures, and of the first 100 images of each class how many were recognised as that class."""

    metrics: dict[str, Metric]
    recognised: dict[str, int] = field(default_factory=dict)


def open_players(path: Path) -> Players:
    """The players in `path`: a bundle where there is a manifest, a run's folder or a checkpoint otherwise."""
    return OnnxPlayers(path) if (path / MANIFEST_FILE).is_file() else TorchPlayers(path)


def evaluate(players: Players, split: Split, extractor: Extractor | None, *, images: int = 10_000) -> Evaluation:
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
    seeds = list(range(per_class)) * count
    class_ids = np.repeat(np.arange(count, dtype=np.int64), per_class) if players.classes else None
    made = players.images(sample_latents(players.latent, seeds), class_ids)
    evaluation = Evaluation({})
    if extractor is not None:
        evaluation = _measure_images(made, class_ids, split, extractor)
    if players.has_discriminator:
        evaluation.metrics.update(_measure_scores(made, players, split))
    return evaluation


def _measure_images(
    made: NDArray[np.uint8], class_ids: NDArray[np.int64] | None, split: Split, extractor: Extractor
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
    by_class = {name: right[class_ids == index] for index, name in enumerate(extractor.classes)}
    real_by_class = [real_right[labels == index] for index in range(len(extractor.classes)) if (labels == index).any()]
    accuracy = Metric(
        value=float(right.mean()), n=len(made), extractor=extractor.sha256, floor=float(real_right.mean())
    )
    worst = Metric(
        value=min(float(part.mean()) for part in by_class.values()),
        n=len(made) // len(by_class),
        extractor=extractor.sha256,
        floor=min(float(part.mean()) for part in real_by_class),
    )
    return Evaluation(
        {"fid": fid, "conditional_accuracy": accuracy, "conditional_accuracy_worst_class": worst},
        {name: int(part[:FIRST].sum()) for name, part in by_class.items()},
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
