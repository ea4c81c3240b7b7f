"""Zip archives of images, read member by member: nothing is ever extracted to disk."""

import lzma
import struct
import zlib
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from training.data.collection import Progress, read_collection
from training.data.pictures import IMAGE_SUFFIXES, MAX_FILE_BYTES, Unreadable
from training.data.sets import Split
from training.errors import DataError

MAX_EXPANSION = 100
"""How many times its own size an archive may unpack to; image files hardly shrink in a zip."""
FREE_BYTES = 256 * 2**20
"""What an archive may unpack to whatever its own size."""

_ENCRYPTED = 1
_CORRUPT = (BadZipFile, EOFError, OSError, RuntimeError, lzma.LZMAError, struct.error, zlib.error)


def read_archive(path: Path, resolution: int | None, progress: Progress | None = None) -> Split:
    """Read the PNG, JPEG, WebP and BMP members of the zip at `path`, in one folder per class or flat.

    Folders that hold everything, as archivers like to put first, are no classes. What begins with a dot is passed over.
    See read_collection for the rest. Raises DataError, also for names that lead out of the archive and for one that
    would unpack to far more than its size.
    """
    try:
        archive = ZipFile(path)
    except _CORRUPT as error:
        raise DataError(f"{path}: not a zip archive of images ({error})") from None
    with archive:
        members = _without_outer_folder(_images(archive, path))
        return read_collection(
            members,
            lambda file: _read(archive, members[file]),
            name=path.stem,
            path=path,
            resolution=resolution,
            progress=progress,
        )


def _images(archive: ZipFile, path: Path) -> dict[PurePosixPath, ZipInfo]:
    images = {}
    for info in archive.infolist():
        name = PurePosixPath(info.filename)
        if info.is_dir() or name.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if name.is_absolute() or ".." in name.parts or "\\" in info.filename or not info.filename.isprintable():
            raise DataError(f"{path}: the member name {info.filename!r} is not a path within the archive")
        if not any(part.startswith(".") for part in name.parts):
            images[name] = info
    unpacked = sum(info.file_size for info in images.values())
    if unpacked > max(FREE_BYTES, MAX_EXPANSION * path.stat().st_size):
        raise DataError(f"{path}: would unpack to {unpacked / 2**20:,.0f} MiB, as only a zip bomb does")
    return images


def _without_outer_folder(images: dict[PurePosixPath, ZipInfo]) -> dict[str, ZipInfo]:
    while images and len({name.parts[0] for name in images}) == 1 and all(len(name.parts) > 1 for name in images):
        images = {name.relative_to(name.parts[0]): info for name, info in images.items()}
    return {str(name): info for name, info in images.items()}


def _read(archive: ZipFile, info: ZipInfo) -> bytes:
    if info.file_size > MAX_FILE_BYTES:
        raise Unreadable(f"larger than {MAX_FILE_BYTES >> 20} MiB")
    if info.flag_bits & _ENCRYPTED:
        raise Unreadable("encrypted")
    try:
        with archive.open(info) as member:
            return member.read(MAX_FILE_BYTES)  # never more than the header says, and the checksum has to be right
    except _CORRUPT:
        raise Unreadable("corrupt in the archive") from None
