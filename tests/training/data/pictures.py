"""Small pictures, as files of any kind, for the tests of the readers."""

import io
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from PIL import Image


def picture(seed: int, *, colour: bool = True, size: tuple[int, int] = (20, 30)) -> Image.Image:
    """Noise of `size` (height, width), another for every seed."""
    chance = np.random.default_rng(seed)
    return Image.fromarray(chance.integers(0, 256, size=(*size, 3) if colour else size, dtype=np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401 -- Pillow's own options
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def files(count: int, *, classes: int, colour: bool = True) -> dict[str, bytes]:
    """`count` PNGs by name, in `classes` folders or, where that is 0, in none."""
    folders = [f"class-{index % classes}/" if classes else "" for index in range(count)]
    return {f"{folder}{index:03}.png": encoded(picture(index, colour=colour)) for index, folder in enumerate(folders)}


def write_folder(root: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(path: Path, contents: dict[str, bytes]) -> Path:
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path
