from pathlib import Path

import numpy as np
import pytest

from tests.training.data.pictures import encoded, files, picture, write_folder
from training.data import ImageSet, Skipped, Split, load
from training.data.gallery import choose_gallery
from training.data.inspection import ClassCount, inspect


def _noise(count: int, *, classes: int = 2, seed: int = 0, channels: int = 1) -> ImageSet:
    images = np.random.default_rng(seed).integers(0, 256, size=(count, 8, 8, channels), dtype=np.uint8)
    labels = np.arange(count) % classes
    return ImageSet("noise", images, labels, tuple(f"class-{index}" for index in range(classes)))


def test_a_balanced_set_without_faults_gives_no_warning() -> None:
    found = inspect(Split(_noise(2000), _noise(200, seed=1)))
    assert found.warnings == ()
    assert (found.train, found.held_out, found.channels) == (2000, 200, 1)
    assert found.classes == (ClassCount("class-0", 1000, 100), ClassCount("class-1", 1000, 100))


def test_mean_and_standard_deviation_are_those_of_the_training_pixels() -> None:
    train = _noise(1500, channels=3)
    found = inspect(Split(train, _noise(10, channels=3)))
    assert found.mean == pytest.approx(train.images.mean(axis=(0, 1, 2)))
    assert found.std == pytest.approx(train.images.std(axis=(0, 1, 2)))


def test_duplicates_are_counted_in_each_part_and_named_across_them() -> None:
    train, held_out = _noise(2000), _noise(200, seed=1)
    train.images[[10, 12]] = train.images[4]
    held_out.images[6] = train.images[8]
    duplicates = inspect(Split(train, held_out)).duplicates
    assert (duplicates.train, duplicates.held_out) == (2, 0)
    assert duplicates.across == (("held-out image 6", "training image 8"),)
    assert duplicates.relabelled == 0


def test_duplicates_across_the_split_are_named_by_file_in_a_warning(tmp_path: Path) -> None:
    contents = files(40, classes=0)
    contents["009.png"] = contents["002.png"]
    found = inspect(load(write_folder(tmp_path, contents), resolution=16))
    assert found.duplicates.across == (("009.png", "002.png"),)
    (warning,) = [warning for warning in found.warnings if "held-out images that are trained on too" in warning]
    assert "009.png = 002.png" in warning


def test_images_that_are_equal_once_resized_count_as_duplicates(tmp_path: Path) -> None:
    contents = files(40, classes=0)
    contents["001.png"] = encoded(picture(0), compress_level=1)
    assert contents["001.png"] != contents["000.png"]
    assert inspect(load(write_folder(tmp_path, contents), resolution=16)).duplicates.train == 1


def test_the_same_pixels_under_two_classes_are_counted() -> None:
    train, held_out = _noise(2000), _noise(200, seed=1)
    train.images[5] = train.images[4]
    held_out.images[7] = held_out.images[1] = train.images[4]
    found = inspect(Split(train, held_out))
    assert found.duplicates.relabelled == 4
    assert "images with a twin of the same pixels in another class: 4" in found.warnings


def _warned(split: Split, words: str) -> bool:
    return any(words in warning for warning in inspect(split).warnings)


def test_unbalanced_and_missing_classes_are_warned_of() -> None:
    train, held_out = _noise(2000, classes=3), _noise(200, classes=3)
    assert train.labels is not None
    assert held_out.labels is not None
    train.labels[(train.labels == 2) & (np.arange(2000) > 300)] = 0
    held_out.labels[held_out.labels == 2] = 1
    split = Split(train, held_out)
    assert _warned(split, "classes are unbalanced: 1233 of class-0, 100 of class-2")
    assert _warned(split, "class class-2 has 100 training and 0 held-out images")


def test_few_images_are_warned_of() -> None:
    few = Split(_noise(999, classes=20), _noise(99, classes=20))
    assert _warned(few, "few training images: 999")
    assert _warned(few, "few held-out images: 99")
    assert _warned(few, "classes with fewer than 50 training images: 1 of 20")
    assert inspect(Split(_noise(1000, classes=20), _noise(100, classes=20, seed=1))).warnings == ()


def test_skipped_and_enlarged_images_are_warned_of() -> None:
    skipped = tuple(Skipped(f"{index}.png", "corrupt") for index in range(12))
    split = Split(_noise(2000), _noise(200, seed=1), skipped, enlarged=7)
    assert _warned(split, "12 of 2212 images left out as unreadable: 0.png (corrupt), 1.png")
    assert _warned(split, "and 2 more")
    assert _warned(split, "images that were smaller than 8 pixels and were enlarged: 7")


def test_a_gallery_has_a_row_for_each_class() -> None:
    train = _noise(2000, classes=3)
    for index, row in enumerate(choose_gallery(train).reshape(3, 10, 8, 8, 1)):
        mine = {image.tobytes() for image in train.images[index::3]}
        assert len({image.tobytes() for image in row} & mine) == 10


def test_a_gallery_of_few_images_is_filled_up_with_white() -> None:
    train = _noise(12, classes=3)
    rows = choose_gallery(train).reshape(3, 10, 8, 8, 1)
    assert np.array_equal(rows[0, :4], train.images[::3])
    assert rows[:, 4:].min() == 255
    without = ImageSet("noise", train.images[:9], None, None)
    assert choose_gallery(without).shape == (100, 8, 8, 1)
