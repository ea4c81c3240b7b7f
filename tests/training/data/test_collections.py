"""Folders and zips: two ways to keep the same files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.training.data.pictures import encoded, files, picture, write_folder, write_zip
from training.data import Skipped, Split, load
from training.errors import DataError

Keep = Callable[[Path, dict[str, bytes]], Path]


def _in_folder(root: Path, contents: dict[str, bytes]) -> Path:
    return write_folder(root / "images", contents)


def _in_zip(root: Path, contents: dict[str, bytes]) -> Path:
    root.mkdir(exist_ok=True)
    return write_zip(root / "images.zip", contents)


@pytest.fixture(params=[_in_folder, _in_zip], ids=["folder", "zip"])
def keep(request: pytest.FixtureRequest) -> Keep:
    chosen: Keep = request.param
    return chosen


def test_class_folders_give_labels_and_every_tenth_image_is_held_out(tmp_path: Path, keep: Keep) -> None:
    split = load(keep(tmp_path, files(20, classes=2)), resolution=32)
    assert split.train.name == "images"
    assert split.train.images.shape == (18, 32, 32, 3)
    assert split.train.classes == split.held_out.classes == ("class-0", "class-1")
    assert split.train.labels is not None
    assert np.bincount(split.train.labels).tolist() == [9, 9]
    assert split.held_out.files == ("class-0/018.png", "class-1/019.png")


def test_flat_grey_images_have_one_channel_and_no_classes(tmp_path: Path, keep: Keep) -> None:
    split = load(keep(tmp_path, files(20, classes=0, colour=False)), resolution=32)
    assert split.train.images.shape == (18, 32, 32, 1)
    assert (split.train.classes, split.train.labels) == (None, None)
    assert split.held_out.files == ("009.png", "019.png")


def test_one_coloured_image_makes_all_of_them_colour(tmp_path: Path, keep: Keep) -> None:
    mixed = files(20, classes=0, colour=False) | {"007.png": encoded(picture(7))}
    assert load(keep(tmp_path, mixed), resolution=32).train.shape == (32, 32, 3)


def test_a_folder_and_a_zip_of_it_are_the_same_data_set(tmp_path: Path) -> None:
    contents = files(40, classes=3)
    folder, archive = (load(way(tmp_path, contents), resolution=16) for way in (_in_folder, _in_zip))
    for mine, other in ((folder.train, archive.train), (folder.held_out, archive.held_out)):
        assert np.array_equal(mine.images, other.images)
        assert mine.files == other.files
        assert mine.labels is not None
        assert other.labels is not None
        assert np.array_equal(mine.labels, other.labels)


def test_a_resolution_and_ten_images_are_needed(tmp_path: Path, keep: Keep) -> None:
    with pytest.raises(DataError, match="needs --resolution"):
        load(keep(tmp_path, files(20, classes=0)))
    with pytest.raises(DataError, match="9 images; at least 10"):
        load(keep(tmp_path / "few", files(9, classes=0)), resolution=16)


def test_one_corrupt_image_in_a_hundred_is_left_out_and_named(tmp_path: Path, keep: Keep) -> None:
    contents = files(100, classes=0)
    whole = load(keep(tmp_path, contents), resolution=16)
    contents["033.png"] = contents["033.png"][:200]
    split = load(keep(tmp_path, contents), resolution=16)
    assert split.skipped == (Skipped("033.png", "truncated or corrupt"),)
    assert len(split.train) == 89
    assert _files(split) == _files(whole) - {"033.png"}
    assert split.held_out.files == whole.held_out.files


def _files(split: Split) -> set[str]:
    assert split.train.files is not None
    return set(split.train.files)


def test_more_corrupt_images_than_one_in_a_hundred_are_refused_with_their_number(tmp_path: Path, keep: Keep) -> None:
    contents = files(100, classes=0) | {f"{index:03}.png": b"no image" for index in range(12)}
    with pytest.raises(
        DataError, match=r"12 of 100 images cannot be read, more than 1 %: 000\.png \(not a PNG"
    ) as info:
        load(keep(tmp_path, contents), resolution=16)
    assert "009.png" in str(info.value)
    assert "010.png" not in str(info.value)
    assert str(info.value).endswith("and 2 more")


def test_what_is_hidden_or_no_image_is_passed_over(tmp_path: Path, keep: Keep) -> None:
    contents = files(20, classes=0)
    extra = {"notes.txt": b"", ".cache/a.png": b"", "._001.png": b"", "__MACOSX/._002.png": b""}
    assert len(load(keep(tmp_path, {**contents, **extra}), resolution=16).train) == 18


def test_images_beside_class_folders_are_refused(tmp_path: Path, keep: Keep) -> None:
    contents = files(20, classes=2) | {"stray.png": encoded(picture(0))}
    with pytest.raises(DataError, match=r"lie in class folders and some beside them, such as stray\.png"):
        load(keep(tmp_path, contents), resolution=16)


def test_images_that_had_to_be_enlarged_are_counted(tmp_path: Path, keep: Keep) -> None:
    split = load(keep(tmp_path, files(20, classes=0)), resolution=20)
    assert split.enlarged == 0
    assert load(keep(tmp_path, files(20, classes=0)), resolution=21).enlarged == 20


def test_progress_is_told_file_by_file(tmp_path: Path, keep: Keep) -> None:
    told: list[tuple[int, int]] = []
    load(keep(tmp_path, files(20, classes=0)), resolution=16, progress=lambda *counts: told.append(counts))
    assert told == [(done, 20) for done in range(1, 21)]


def test_a_set_that_does_not_fit_into_memory_is_refused(tmp_path: Path, keep: Keep) -> None:
    with pytest.raises(DataError, match="do not fit into memory"):
        load(keep(tmp_path, files(10, classes=0)), resolution=10**9)
