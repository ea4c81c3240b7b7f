from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest

from tests.training.data.pictures import files, write_zip
from training.data import load
from training.data.archive import FREE_BYTES
from training.data.pictures import MAX_FILE_BYTES
from training.errors import DataError


def test_folders_around_everything_are_no_classes(tmp_path: Path) -> None:
    flat = {f"data/faces/{name}": data for name, data in files(20, classes=0).items()}
    assert load(write_zip(tmp_path / "flat.zip", flat), resolution=16).train.classes is None
    nested = {f"data/{name}": data for name, data in files(20, classes=2).items()}
    assert load(write_zip(tmp_path / "nested.zip", nested), resolution=16).train.classes == ("class-0", "class-1")


@pytest.mark.parametrize("name", ["../../out.png", "/etc/out.png", "a/../../out.png", "..\\out.png", "a\nb.png"])
def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "here").mkdir()
    archive = write_zip(tmp_path / "here" / "images.zip", files(20, classes=0) | {name: b"x"})
    with pytest.raises(DataError, match="is not a path within the archive"):
        load(archive, resolution=16)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["here", "images.zip"]


def test_nothing_is_extracted(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "images.zip", files(20, classes=2))
    load(archive, resolution=16)
    assert [path.name for path in tmp_path.iterdir()] == ["images.zip"]


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        zeros = bytes(FREE_BYTES // 8 + 1)
        for index in range(8):
            archive.writestr(f"{index}.png", zeros)
    assert path.stat().st_size < FREE_BYTES / 100
    with pytest.raises(DataError, match="as only a zip bomb does"):
        load(path, resolution=16)


def test_a_member_that_is_too_large_is_left_out(tmp_path: Path) -> None:
    contents = files(100, classes=0) | {"005.png": bytes(MAX_FILE_BYTES + 1)}
    split = load(write_zip(tmp_path / "images.zip", contents), resolution=16)
    assert [(image.file, image.reason) for image in split.skipped] == [("005.png", "larger than 64 MiB")]


def test_a_member_whose_checksum_is_wrong_is_left_out(tmp_path: Path) -> None:
    contents = files(100, classes=0)
    path = tmp_path / "images.zip"
    with ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    raw = path.read_bytes()
    at = raw.index(contents["005.png"]) + len(contents["005.png"]) // 2
    path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
    split = load(path, resolution=16)
    assert [(image.file, image.reason) for image in split.skipped] == [("005.png", "corrupt in the archive")]


def test_encrypted_members_are_told_as_such(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "images.zip", files(20, classes=0))
    raw = bytearray(path.read_bytes())
    for marker, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags of local and of central headers
        for at in _positions(bytes(raw), marker):
            raw[at + offset] |= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"20 of 20 images cannot be read.*\(encrypted\)"):
        load(path, resolution=16)


def _positions(data: bytes, marker: bytes) -> list[int]:
    return [at for at in range(len(data)) if data.startswith(marker, at)]


@pytest.mark.parametrize("data", [b"", b"no zip at all", b"PK\x03\x04" + bytes(100)])
def test_another_kind_of_file_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "images.zip"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"images\.zip: not a zip archive of images"):
        load(path, resolution=16)


def test_pixels_come_out_as_they_went_in(tmp_path: Path) -> None:
    contents = files(20, classes=0)
    split = load(write_zip(tmp_path / "images.zip", contents), resolution=20)
    again = load(write_zip(tmp_path / "again.zip", dict(reversed(contents.items()))), resolution=20)
    assert np.array_equal(split.train.images, again.train.images)
