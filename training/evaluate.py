"""`gantrain evaluate`: the figures of a run or a bundle, each beside what real images reach."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle import MANIFEST_FILE, sample_latents
from bundle.manifest import Metric
from training.data import Split
from training.errors import DataError
from training.metrics.features import AnyExtractor, Channelwise, Extractor
from training.metrics.fid import frechet_distance
from training.metrics.kid import kernel_distance
from training.metrics.modes import count_modes
from training.metrics.prdc import prdc
from training.metrics.ranking import roc_auc
from training.players import CLASS_NOT_STATED, OnnxPlayers, Players, TorchPlayers

FIRST = 100
"""Seeds per class that the per-class table counts."""
NEIGHBOURS = 5
"""k of precision, recall, density and coverage."""


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


def open_players(path: Path) -> OnnxPlayers | TorchPlayers:
    """The players in `path`: a bundle where there is a manifest, a run's folder or a checkpoint otherwise."""
    return OnnxPlayers(path) if (path / MANIFEST_FILE).is_file() else TorchPlayers(path)


class Yardstick:
    """Real images as an extractor sees them, computed once for as many measurements as are made with them."""

    def __init__(self, split: Split, extractor: AnyExtractor) -> None:
        self.split, self.extractor = split, extractor
        self._floors: dict[int, dict[str, float]] = {}
        self.features, self.judged = extractor(split.held_out.images)

    def floors(self, count: int) -> dict[str, float]:
        """What the first `count` training images score."""
        if count not in self._floors:
            training, _ = self.extractor(self.split.train.images[:count])
            self._floors[count] = compare(training, self.features)
        return self._floors[count]


def compare(features: NDArray[np.float64], real: NDArray[np.float64]) -> dict[str, float]:
    """Every distance of features float64 [n, d] from real ones [m, d].

    Those that look at neighbours compare equal numbers, as coverage grows with the number of generated images.
    """
    equal = min(len(features), len(real))
    found = {"fid": frechet_distance(features, real), "kid": kernel_distance(features, real)[0]}
    if equal > NEIGHBOURS:
        # Evenly, since generated images come class by class.
        parts = (part[np.linspace(0, len(part) - 1, equal).astype(np.int64)] for part in (real, features))
        found |= asdict(prdc(*parts, k=NEIGHBOURS))
    return found


def evaluate(
    players: Players,
    split: Split,
    extractor: AnyExtractor | None,
    *,
    images: int = 10_000,
    truncation: float = 1.0,
    yardstick: Yardstick | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Measure `players` with `images` generated ones (seeds 0, 1, ... within each class) against held-out real ones.

    Without an extractor only the discriminator is measured. `yardstick` saves looking at the same real images again.
    `say` hears what is being done, as each of it may take minutes.
    Raises DataError when the data set is of another size than the players' images, or the extractor knows other
    classes.
    """
    if players.shape != split.held_out.shape:
        raise DataError(f"the networks make {players.shape} images, the data set has {split.held_out.shape}")
    if isinstance(extractor, Extractor) and players.classes not in {None, extractor.classes}:
        raise DataError("the extractor was trained on other classes than the generator")
    say(f"generating {images:,} images")
    made, class_ids = draw(players, images, truncation)
    evaluation = Evaluation({})
    if extractor is not None:
        say("comparing their features with those of real images")
        evaluation = _measure_images(made, class_ids, yardstick or Yardstick(split, extractor), truncation)
    if players.has_discriminator:
        say("scoring them with the discriminator")
        evaluation.metrics.update(_measure_scores(made, players, split))
    return evaluation


def recognise(players: Players, extractor: AnyExtractor, *, truncation: float) -> Recognition | None:
    """The first 100 images of each class at a truncation, judged by the extractor; None without classes."""
    made, class_ids = draw(players, FIRST * len(players.classes or (None,)), truncation)
    if class_ids is None or not isinstance(extractor, Extractor):
        return None
    return _recognition(extractor(made)[1] == class_ids, class_ids, extractor, truncation)


def draw(players: Players, images: int, truncation: float) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    """Images of the seeds 0, 1, ... for each class in turn, as many for each, and their classes."""
    count = len(players.classes) if players.classes else 1
    per_class = max(images // count, 2)
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
    made: NDArray[np.uint8], class_ids: NDArray[np.int64] | None, yardstick: Yardstick, truncation: float
) -> Evaluation:
    extractor, labels = yardstick.extractor, yardstick.split.held_out.labels
    features, judged = extractor(made)
    floors = yardstick.floors(len(made))
    metrics = {
        name: Metric(value=value, n=len(made), extractor=extractor.sha256, floor=floors.get(name))
        for name, value in compare(features, yardstick.features).items()
    }
    if isinstance(extractor, Channelwise):
        modes, real = count_modes(judged), count_modes(yardstick.judged)
        for name, value, floor in (
            ("modes", modes.found, real.found),
            ("modes_divergence", modes.divergence, real.divergence),
        ):
            metrics[name] = Metric(value=value, n=len(made), extractor=extractor.sha256, floor=floor)
    if class_ids is None or labels is None or not isinstance(extractor, Extractor):
        return Evaluation(metrics)
    right, real_right = judged == class_ids, yardstick.judged == labels
    by_class = [right[class_ids == index] for index in range(len(extractor.classes))]
    real_by_class = [real_right[labels == index] for index in range(len(extractor.classes)) if (labels == index).any()]
    metrics["conditional_accuracy"] = Metric(
        value=float(right.mean()), n=len(made), extractor=extractor.sha256, floor=float(real_right.mean())
    )
    metrics["conditional_accuracy_worst_class"] = Metric(
        value=min(float(part.mean()) for part in by_class),
        n=len(made) // len(by_class),
        extractor=extractor.sha256,
        floor=min(float(part.mean()) for part in real_by_class),
    )
    return Evaluation(metrics, _recognition(right, class_ids, extractor, truncation))


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
