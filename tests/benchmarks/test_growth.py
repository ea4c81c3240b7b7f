"""The growth benchmark: its points, its copies of bundles, its tables."""

import json
from pathlib import Path

import pytest

from benchmarks import growth
from benchmarks.growth import Reading, copies, points, rotated, table
from bundle import read_bundle
from tests.fakes.bundles import write_bundle


def _reading(value: int, rate: float, errors: int = 0) -> Reading:
    return Reading("images", value, rate, rate * value, 0.5, 1.0, 2.0, errors, 120.0, 9, 20)


def test_copies_of_a_bundle_are_bundles_of_their_own(tmp_path: Path) -> None:
    original = write_bundle(tmp_path / "models")
    made = [read_bundle(path) for path in copies(original, 3, tmp_path / "copies")]
    assert [bundle.manifest.name for bundle in made] == ["tiny", "tiny-2", "tiny-3"]
    assert len({bundle.digest for bundle in made}) == 3
    assert copies(original, 1, tmp_path / "copies")[0].parent.parent == tmp_path / "copies"
    assert len(list((tmp_path / "copies").iterdir())) == 1


def test_requests_go_round_the_models(tmp_path: Path) -> None:
    (point,) = points("models", [3], write_bundle(tmp_path / "models"))
    asked = [json.loads(template.render(1).partition(b"\r\n\r\n")[2])["model"] for template in point.templates]
    assert asked == ["tiny", "tiny-2", "tiny-3"]


@pytest.mark.parametrize("side", [8, 16])
def test_a_generator_is_made_for_every_size(side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.models.FOLDER", tmp_path)
    image = read_bundle(growth.sized(side)).manifest.image
    assert (image.height, image.width, image.channels) == (side, side, 3)


def test_another_point_comes_first_each_time(tmp_path: Path) -> None:
    every = points("connections", [1, 4, 16], write_bundle(tmp_path / "models"))
    assert [[point.value for point in rotated(every, by)] for by in (0, 1, 5)] == [[1, 4, 16], [4, 16, 1], [16, 1, 4]]


def test_a_table_has_a_row_a_point_with_its_spread() -> None:
    text = table("images", [_reading(4, 10.0), _reading(1, 30.0), _reading(4, 20.0, errors=2), _reading(4, 12.0)])
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[1].startswith("| 1 | 30 (30..30) |")
    assert rows[2].startswith("| 4 | 12 (10..20) | 48 (40..80) |")
    assert rows[2].endswith("| 9 | 2 |")
