"""Images to encode, the same in every run: real digits, pictures like a network's, and noise."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.peers.work import Work

Pixels = NDArray[np.uint8]
_SEED = 20261123


def digits(bundle: Path, count: int) -> list[Pixels]:
    """The images of seeds 0 to `count` - 1."""
    work = Work(bundle, threads=1)
    return list(work.run(work.inputs(range(count))))


def picture(side: int, number: int) -> Pixels:
    """RGB fields from coarse to fine, each half as strong as the last: smooth, with detail down to the pixel."""
    chance = np.random.default_rng((_SEED, side, number))
    sheet, cells, strength = np.zeros((side, side, 3), np.float32), 4, 48.0
    while cells <= side:
        field = chance.standard_normal((cells, cells, 3)).astype(np.float32)
        sheet += strength * np.stack([_enlarged(field[:, :, band], side) for band in range(3)], axis=2)
        cells, strength = cells * 2, strength / 2
    return np.clip(sheet + 128, 0, 255).astype(np.uint8)


def blur(side: int, number: int) -> Pixels:
    """One RGB field, an eighth as fine as the image: smooth, strong in contrast, without any detail."""
    field = np.random.default_rng((_SEED, side, number)).standard_normal((side // 8, side // 8, 3)).astype(np.float32)
    sheet = np.stack([_enlarged(field[:, :, band], side) for band in range(3)], axis=2)
    return np.clip(sheet * 60 + 128, 0, 255).astype(np.uint8)


def noise(side: int, number: int) -> Pixels:
    """Every RGB value drawn on its own: what nothing can compress."""
    return np.random.default_rng((_SEED, side, number)).integers(0, 256, (side, side, 3), dtype=np.uint8)


def collections(bundle: Path, sides: Sequence[int]) -> dict[str, list[Pixels]]:
    """The images of a run by what they are called."""
    found = {"28x28 digits": digits(bundle, 32)}
    for side in sides:
        for make in (picture, blur, noise) if side > 64 else (picture,):
            found[f"{side}x{side} {make.__name__}"] = [make(side, number) for number in range(1 if side > 512 else 3)]
    return found


def _enlarged(field: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(field).resize((side, side), Image.Resampling.BICUBIC))
