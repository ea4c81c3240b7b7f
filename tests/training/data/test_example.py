"""The script that docs/own-images.md shows."""

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.training.data.pictures import encoded, write_folder

SCRIPT = Path(__file__).parents[3] / "docs" / "examples" / "arrange_emoji.py"


def _emoji(colour: str, alpha: int = 255) -> bytes:
    image = Image.new("RGB", (64, 64), colour)
    image.putalpha(alpha)
    return encoded(image)


def test_each_picture_is_copied_once_into_the_folder_of_its_category(tmp_path: Path) -> None:
    table = [
        {"category": "Food & Drink", "image": "1.png"},
        {"category": "Flags", "image": "2.png"},
        {"category": "Flags", "image": "2b.png"},
        {"category": "People & Body", "image": "3.png", "skin_variations": {"1F3FB": {"image": "4.png"}}},
        {"category": "Component", "image": "5.png"},
        {"category": "Flags", "image": "never drawn.png"},
        {"category": "Flags", "image": "6.png"},
        {"category": "Flags", "image": "7.png"},
    ]
    colours = {"1": "red", "2": "blue", "2b": "blue", "3": "yellow", "4": "brown", "5": "black"}
    images = {f"img/toy/64/{name}.png": _emoji(colour) for name, colour in colours.items()}
    images |= {"img/toy/64/6.png": _emoji("red", 0), "img/toy/64/7.png": _emoji("green", 0)}
    package = write_folder(tmp_path / "package", {"emoji.json": json.dumps(table).encode(), **images})
    assert _arrange(package, tmp_path / "few") == {
        "food-and-drink/toy-1.png",
        "flags/toy-2.png",
        "people-and-body/toy-3.png",
        "flags/toy-6.png",  # on white, the same as 7
    }
    assert _arrange(package, tmp_path / "all", "--skin-tones") - _arrange(package, tmp_path / "few") == {
        "people-and-body/toy-4.png"
    }


def _arrange(package: Path, out: Path, *flags: str) -> set[str]:
    command = [sys.executable, str(SCRIPT), str(package), "--out", str(out), *flags]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {path.relative_to(out).as_posix() for path in out.rglob("*.png")}
    assert answer.strip() == f"{len(found)} images in {out}"
    return found
