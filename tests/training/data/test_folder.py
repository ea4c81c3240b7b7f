from pathlib import Path

from tests.training.data.pictures import files, write_folder
from training.data import load
from training.data.pictures import MAX_FILE_BYTES


def test_a_file_that_is_too_large_is_left_out_unread(tmp_path: Path) -> None:
    root = write_folder(tmp_path, files(100, classes=0))
    with (root / "005.png").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    split = load(root, resolution=16)
    assert [(image.file, image.reason) for image in split.skipped] == [("005.png", "larger than 64 MiB")]


def test_the_split_follows_the_order_of_names_folder_by_folder(tmp_path: Path) -> None:
    # As strings, "a-b/..." sorts before "a/..."; as paths, after it.
    names = [f"{folder}/{index}.png" for folder in ("a", "a-b") for index in range(10)]
    root = write_folder(tmp_path, dict(zip(names, files(20, classes=0).values(), strict=True)))
    assert load(root, resolution=16).held_out.files == ("a/9.png", "a-b/9.png")
