"""What generated images are worth to a classifier: `python -m benchmarks.augmentation --help`.

The same small classifier is trained on real images, on generated ones (a `.npz` of `ganserve generate --per-class`),
and on both, and asked about held-out real images.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from training.data import ImageSet, load
from training.errors import DataError
from training.metrics.features import Extractor, fit_classifier


def main() -> None:
    """Train, print the table and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.augmentation", description=__doc__)
    parser.add_argument("generated", type=Path, help=".npz of images and labels")
    parser.add_argument("--data", type=Path, required=True, help="IDX directory of the real set")
    parser.add_argument("--real", nargs="+", type=int, default=[100, 1000, 10_000], help="how many real images")
    parser.add_argument("--epochs", type=int, default=5, help="passes over 10,000 images that each training takes")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind")
    parser.add_argument("--out", type=Path, default=None, help="Markdown file to write")
    chosen = parser.parse_args()
    split = load(chosen.data)
    with np.load(chosen.generated) as arrays:
        images, labels = arrays["images"], arrays["labels"].astype(np.int64)
    generated = ImageSet("generated", images, labels, split.train.classes)
    kinds: dict[str, ImageSet] = {f"{len(generated)} generated": generated}
    for count in chosen.real:
        order = np.random.default_rng(0).permutation(len(split.train))[:count]
        real = ImageSet(split.train.name, split.train.images[order], _labels(split.train)[order], split.train.classes)
        kinds[f"{count} real"] = real
        kinds[f"{count} real and {len(generated)} generated"] = _together(real, generated)
    lines = ["| trained on | right on held-out real images |", "| --- | ---: |"]
    for name, found in _accuracies(kinds, split.held_out, epochs=chosen.epochs, seeds=chosen.seeds).items():
        lines.append(f"| {name} | {mean(found):.4f} ({min(found):.4f}..{max(found):.4f}) |")
        print(lines[-1], flush=True)
    head = [f"# Generated images as training data: {split.train.name}", ""]
    head += [f"- `python -m benchmarks.augmentation {chosen.generated.name}`, {chosen.seeds} trainings of each kind"]
    head += [f"- as many steps in each, {chosen.epochs} passes over 10,000 images; mean, least and most", ""]
    if chosen.out is not None:
        chosen.out.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


def _together(first: ImageSet, second: ImageSet) -> ImageSet:
    labels = np.concatenate([_labels(first), _labels(second)])
    return ImageSet("both", np.concatenate([first.images, second.images]), labels, first.classes)


def _labels(data: ImageSet) -> NDArray[np.int64]:
    if data.labels is None:
        raise DataError("a classifier is trained to tell classes apart, and this data set has none")
    return data.labels


def _accuracies(
    kinds: Mapping[str, ImageSet], held_out: ImageSet, *, epochs: int, seeds: int
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, data in kinds.items():
        passes = max(round(epochs * 10_000 / len(data)), 1)
        for seed in range(seeds):
            network = fit_classifier(data, epochs=passes, seed=seed)
            judge = Extractor(network, name, held_out.shape, held_out.classes or (), 0.0, "")
            found.setdefault(name, []).append(float((judge(held_out.images)[1] == held_out.labels).mean()))
    return found


if __name__ == "__main__":
    main()
