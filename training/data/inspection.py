"""What there is to know of a data set before a game is played on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from training.data.sets import ImageSet, Skipped, Split, tell_skipped

FEW_IMAGES = 1000
FEW_HELD_OUT = 100
FEW_OF_A_CLASS = 50
IMBALANCE = 5
"""How many times as many images the largest class may have as the smallest before it is worth a word."""

_NAMED = 10


@dataclass(frozen=True)
class ClassCount:
    """How many images of a class are in each part."""

    name: str
    train: int
    held_out: int


@dataclass(frozen=True)
class Duplicates:
    """Images with the same pixels as another one.

    `train` and `held_out` count, within each part, the images beyond the first of their kind; `across` names each
    held-out image that is also trained on, beside its twin; `relabelled` counts the images that have a twin, in either
    part, of another class.
    """

    train: int
    held_out: int
    across: tuple[tuple[str, str], ...]
    relabelled: int


@dataclass(frozen=True)
class Inspection:
    """A data set in figures; mean and standard deviation are of the training images' grey levels, per channel."""

    name: str
    height: int
    width: int
    channels: int
    train: int
    held_out: int
    classes: tuple[ClassCount, ...] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    enlarged: int
    skipped: tuple[Skipped, ...]
    duplicates: Duplicates
    warnings: tuple[str, ...]


def inspect(split: Split) -> Inspection:
    """Count, measure and compare the images of both parts, and warn of what may spoil a game or its figures."""
    height, width, channels = split.train.shape
    classes = _count_classes(split)
    duplicates = _find_duplicates(split)
    mean, std = _mean_and_std(split.train.images)
    return Inspection(
        name=split.train.name,
        height=height,
        width=width,
        channels=channels,
        train=len(split.train),
        held_out=len(split.held_out),
        classes=classes,
        mean=mean,
        std=std,
        enlarged=split.enlarged,
        skipped=split.skipped,
        duplicates=duplicates,
        warnings=tuple(_warnings(split, classes, duplicates)),
    )


def _count_classes(split: Split) -> tuple[ClassCount, ...] | None:
    names = split.train.classes
    if names is None or split.train.labels is None or split.held_out.labels is None:
        return None
    train, held_out = (np.bincount(part, minlength=len(names)) for part in (split.train.labels, split.held_out.labels))
    return tuple(ClassCount(name, int(train[i]), int(held_out[i])) for i, name in enumerate(names))


def _mean_and_std(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """From the histogram of each channel: exact, and without a second copy of the pixels in floats."""
    levels = np.arange(256, dtype=np.float64)
    means, stds = [], []
    for channel in range(images.shape[3]):
        share = sum(
            np.bincount(images[start : start + 1000, :, :, channel].ravel(), minlength=256)
            for start in range(0, len(images), 1000)
        ) / (images.size / images.shape[3])
        mean = float(share @ levels)
        means.append(mean)
        stds.append(float(np.sqrt(share @ (levels - mean) ** 2)))
    return tuple(means), tuple(stds)


def _find_duplicates(split: Split) -> Duplicates:
    train, held_out = _digests(split.train), _digests(split.held_out)
    first = {digest: index for index, digest in reversed(list(enumerate(train)))}
    across = tuple(
        (_file(split.held_out, "held-out", index), _file(split.train, "training", first[digest]))
        for index, digest in enumerate(held_out)
        if digest in first
    )
    labels: dict[bytes, set[int]] = {}
    everything = [*zip(train, _labels(split.train), strict=True), *zip(held_out, _labels(split.held_out), strict=True)]
    for digest, label in everything:
        labels.setdefault(digest, set()).add(label)
    relabelled = sum(len(labels[digest]) > 1 for digest, _ in everything)
    return Duplicates(len(train) - len(first), len(held_out) - len(set(held_out)), across, relabelled)


def _digests(images: ImageSet) -> list[bytes]:
    return [blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in images.images]


def _labels(images: ImageSet) -> Sequence[int]:
    return [0] * len(images) if images.labels is None else images.labels.tolist()


def _file(images: ImageSet, part: str, index: int) -> str:
    return f"{part} image {index}" if images.files is None else images.files[index]


def _warnings(split: Split, classes: tuple[ClassCount, ...] | None, duplicates: Duplicates) -> list[str]:
    found = []
    if split.skipped:
        found.append(tell_skipped(split))
    if duplicates.across:
        named = ", ".join(f"{held_out} = {train}" for held_out, train in duplicates.across[:_NAMED])
        more = f" and {len(duplicates.across) - _NAMED} more" if len(duplicates.across) > _NAMED else ""
        found.append(
            f"held-out images that are trained on too, which flatters every figure: {len(duplicates.across)} "
            f"({named}{more})"
        )
    if duplicates.relabelled:
        found.append(f"images with a twin of the same pixels in another class: {duplicates.relabelled}")
    if split.enlarged:
        found.append(f"images that were smaller than {split.train.shape[0]} pixels and were enlarged: {split.enlarged}")
    if len(split.train) < FEW_IMAGES:
        found.append(f"few training images: {len(split.train)}; a GAN learns fewer than {FEW_IMAGES:,} by heart")
    if len(split.held_out) < FEW_HELD_OUT:
        found.append(f"few held-out images: {len(split.held_out)}; figures and calibration will be rough")
    if classes:
        empty = (one for one in classes if one.train == 0 or one.held_out == 0)
        found += [
            f"an empty part: class {one.name} has {one.train} training and {one.held_out} held-out images"
            for one in empty
        ]
        most, least = max(classes, key=lambda one: one.train), min(classes, key=lambda one: one.train)
        if most.train > IMBALANCE * least.train:
            found.append(f"classes are unbalanced: {most.train} of {most.name}, {least.train} of {least.name}")
        if least.train < FEW_OF_A_CLASS:
            few = sum(one.train < FEW_OF_A_CLASS for one in classes)
            found.append(f"classes with fewer than {FEW_OF_A_CLASS} training images: {few} of {len(classes)}")
    return found
