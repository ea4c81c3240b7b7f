"""What selection by the discriminator gains and costs: `python -m benchmarks.selection --help`.

Images are made by the service's own code, `best_of` and `min_realness` included, and measured as training measures
them, against held-out real images. Cost is counted in images drawn for each image kept, since that is what a machine of
any speed pays.
"""

import argparse
import asyncio
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from app.engines.acceleration import Acceleration
from app.engines.onnx import open_engine
from app.generation import GeneratedImage, GenerateOrder, generate
from app.metrics import Metrics
from app.registry import LiveModel, ModelRegistry
from app.settings import Settings
from benchmarks.systems import ROOT
from training.data import load
from training.evaluate import Yardstick, compare
from training.metrics.features import load_extractor, shipped_extractor

_SHOWN = ("fid", "precision", "recall", "density", "coverage")
_AT_ONCE = 200


@dataclass(frozen=True)
class Selection:
    """A way to choose."""

    best_of: int = 1
    min_realness: float | None = None

    def __str__(self) -> str:
        """As in a request."""
        return f"`best_of` {self.best_of}" if self.min_realness is None else f"`min_realness` {self.min_realness:g}"


def main() -> None:
    """Make, measure, print the table and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "mnist" / "1")
    parser.add_argument("--data", type=Path, required=True, help="IDX directory of the set that it was trained on")
    parser.add_argument("--extractor", type=Path, default=None, help="unset: the shipped one of the data set")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--best-of", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--min-realness", type=float, nargs="*", default=[0.5, 0.7, 0.9])
    parser.add_argument("--out", type=Path, default=None, help="Markdown file to write")
    chosen = parser.parse_args()
    split = load(chosen.data)
    extractor = shipped_extractor(split.held_out) if chosen.extractor is None else load_extractor(chosen.extractor)
    if extractor is None:
        parser.error("no extractor is shipped for this data set; --extractor names one")
    yardstick = Yardstick(split, extractor)
    ways = [Selection(best_of=k) for k in chosen.best_of]
    ways += [Selection(min_realness=least) for least in chosen.min_realness]
    lines = ["| | " + " | ".join(_SHOWN) + " | class recognised | accepted | drawn for each kept |"]
    lines += ["| --- |" + " ---: |" * (len(_SHOWN) + 3)]
    with tempfile.TemporaryDirectory() as scratch:
        label, digest, rows = _measure(chosen.bundle, ways, chosen.images, yardstick, Path(scratch))
    for way, row in rows:
        lines.append(f"| {way} | {row} |")
        print(lines[-1], flush=True)
    floors = yardstick.floors(chosen.images)
    lines.append("| *real training images* | " + " | ".join(f"{floors[name]:.4g}" for name in _SHOWN) + " | | | |")
    command = f"python -m benchmarks.selection --images {chosen.images}"
    head = ["# Selection by the discriminator", "", f"- `{command}`", f"- {label}, digest {digest[:12]}"]
    head += [f"- {chosen.images} images kept, classes in equal shares, against {len(split.held_out)} held-out ones", ""]
    text = "\n".join([*head, *lines]) + "\n"
    print(text)
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text, encoding="utf-8")


def _measure(
    bundle: Path, ways: list[Selection], images: int, yardstick: Yardstick, scratch: Path
) -> tuple[str, str, list[tuple[Selection, str]]]:
    settings = Settings.from_environment({}, device="cpu", models=scratch)
    registry = ModelRegistry(
        settings, partial(open_engine, acceleration=Acceleration.of(settings)), Metrics(CollectorRegistry())
    )
    try:
        model = registry.load(bundle)
        return model.label, model.digest, [(way, _row(model, way, images, yardstick)) for way in ways]
    finally:
        registry.close()


def _row(model: LiveModel, way: Selection, images: int, yardstick: Yardstick) -> str:
    kept = asyncio.run(_make(model, way, images))
    pixels = np.stack([image.pixels for image in kept])
    features, judged = yardstick.extractor(pixels)
    found = compare(features, yardstick.features)
    cells = [f"{found[name]:.4g}" for name in _SHOWN]
    classes = [image.class_id for image in kept]
    cells.append("" if classes[0] is None else f"{(judged == np.array(classes)).mean():.4f}")
    accepted = np.mean([image.accepted for image in kept])
    cells.append("" if way.min_realness is None else f"{accepted:.4f}")
    cells.append(f"{np.mean([image.attempts for image in kept]):.2f}")
    return " | ".join(cells)


async def _make(model: LiveModel, way: Selection, images: int) -> list[GeneratedImage]:
    classes = model.manifest.classes
    ids = [index * len(classes) // images for index in range(images)] if classes else None
    kept = []
    for start in range(0, images, _AT_ONCE):
        part = range(start, min(start + _AT_ONCE, images))
        order = GenerateOrder(
            model,
            seeds=list(part),
            latents=None,
            class_ids=None if ids is None else [ids[index] for index in part],
            best_of=way.best_of,
            min_realness=way.min_realness,
        )
        kept += (await generate(order, deadline=None)).images
    return kept


if __name__ == "__main__":
    main()
