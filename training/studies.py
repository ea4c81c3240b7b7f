"""Measurements that take minutes and are made when they are asked for, each beside what real images reach."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bundle.manifest import Metric
from training.data import ImageSet, Split
from training.errors import DataError
from training.evaluate import compare, draw
from training.metrics.features import AnyExtractor, Extractor, fit_classifier
from training.metrics.inception import Inception
from training.metrics.memorisation import memorised_share, nearest
from training.metrics.probe import probe_accuracy
from training.players import Players
from training.report import tile

Say = Callable[[str], None]

PAIRS = 50
"""Generated images in the picture of neighbours: those nearest to a training image."""


def memorisation(
    players: Players, split: Split, extractor: AnyExtractor, *, images: int, truncation: float = 1.0
) -> tuple[Metric, NDArray[np.uint8]]:
    """The share of generated images that are nearer to a training image than all but 1 % of held-out ones are, and a
    picture, uint8 [h, w, c]: the suspicious ones, each on the left of the training image that is nearest.
    """
    training, _ = extractor(split.train.images)
    made, _ = draw(players, images, truncation)
    fake, held_out = (nearest(extractor(part)[0], training) for part in (made, split.held_out.images))
    share = Metric(value=memorised_share(fake, held_out), n=len(made), extractor=extractor.sha256, floor=0.01)
    closest = np.argsort(fake.distance, kind="stable")[: min(PAIRS, len(made) // 5 * 5)]
    pairs = np.stack([made[closest], split.train.images[fake.index[closest]]], axis=1)
    return share, tile(pairs.reshape(-1, *made.shape[1:]), columns=10)


def classification_score(
    players: Players, split: Split, *, images: int, epochs: int = 5, truncation: float = 1.0, say: Say = lambda _: None
) -> Metric:
    """Accuracy on real held-out images of a classifier that was trained on generated ones alone (Ravuri and Vinyals,
    2019); the floor is that of the same classifier trained on as many real ones.

    Raises DataError for networks or data without classes.
    """
    labels, classes = split.held_out.labels, players.classes
    if classes is None or labels is None or split.train.labels is None:
        raise DataError("a classifier needs classes, and the networks or the data set have none")
    made, class_ids = draw(players, images, truncation)
    generated = ImageSet("generated", made, class_ids, classes)
    chosen = np.random.default_rng(0).permutation(len(split.train))[: len(made)]
    real = ImageSet(split.train.name, split.train.images[chosen], split.train.labels[chosen], classes)
    found = []
    for name, images_of in (("generated", generated), ("real", real)):
        say(f"training a classifier on {len(images_of)} {name} images")
        network = fit_classifier(images_of, epochs=epochs, seed=0)
        judge = Extractor(network, name, split.held_out.shape, classes, 0.0, "")
        found.append(float((judge(split.held_out.images)[1] == labels).mean()))
    return Metric(value=found[0], n=len(made), floor=found[1])


def feature_probe(players: Players, split: Split, *, images: int = 10_000) -> Metric:
    """Accuracy on held-out images of a linear classifier on D's features of `images` training ones; the floor is that
    of the same classifier on plain pixels.

    Raises DataError for data without classes or players without a discriminator.
    """
    labels, held_out = split.train.labels, split.held_out.labels
    if labels is None or held_out is None or not players.has_discriminator:
        raise DataError("a probe needs classes and a discriminator")
    chosen = np.random.default_rng(0).permutation(len(split.train))[:images]
    train, test = split.train.images[chosen], split.held_out.images
    sees = players.features(train), players.features(test)
    pixels = tuple(part.reshape(len(part), -1) / 255.0 for part in (train, test))
    probed = [probe_accuracy(seen[0], labels[chosen], seen[1], held_out) for seen in (sees, pixels)]
    return Metric(value=probed[0], n=len(chosen), floor=probed[1])


def in_inception(
    players: Players, split: Split, inception: Inception, *, images: int, truncation: float = 1.0
) -> dict[str, Metric]:
    """`fid_inception` and the other distances in Inception's features, against no more held-out images than are made:
    it sees few images a second on a CPU.
    """
    made, _ = draw(players, images, truncation)
    held_out = inception(split.held_out.images[: len(made)])
    floors = compare(inception(split.train.images[: len(made)]), held_out)
    return {
        f"{name}_inception": Metric(value=value, n=len(made), extractor=inception.sha256, floor=floors[name])
        for name, value in compare(inception(made), held_out).items()
    }
