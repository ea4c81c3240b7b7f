"""Copies the 64-pixel PNGs of unpacked emoji-datasource packages into one folder per category, each picture once."""

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

LEFT_OUT = "Component"
"""Swatches of skin and hair, five images."""


def main() -> None:
    """Copy, and say how many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", type=Path, nargs="+", help="folders with emoji.json and img/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the class folders")
    parser.add_argument("--skin-tones", action="store_true", help="the variants of hands and people too")
    given = parser.parse_args()
    seen = set()
    for package in given.packages:
        emoji = json.loads((package / "emoji.json").read_text(encoding="utf-8"))
        for folder in sorted(package.glob("img/*/64")):
            for category, image in _images(emoji, skin_tones=given.skin_tones):
                source = folder / image
                if not source.is_file():  # not every emoji is drawn in every set
                    continue
                pixels = _on_white(source)
                if pixels not in seen:  # some flags and families are drawn alike
                    seen.add(pixels)
                    target = given.out / category.lower().replace(" & ", "-and-").replace(" ", "-")
                    target.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, target / f"{folder.parent.name}-{image}")
    print(f"{len(seen)} images in {given.out}")  # noqa: T201 -- a script, and this is its answer


def _images(emoji: list[dict[str, Any]], *, skin_tones: bool) -> Iterator[tuple[str, str]]:
    """Category and file name of each."""
    for one in emoji:
        if one["category"] != LEFT_OUT:
            yield one["category"], one["image"]
            for variant in one.get("skin_variations", {}).values() if skin_tones else ():
                yield one["category"], variant["image"]


def _on_white(path: Path) -> bytes:
    """The pixels as the trainer will see them."""
    with Image.open(path) as image:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        return white.tobytes()


if __name__ == "__main__":
    main()
