"""The model repository as it lies on disk: which folders hold a version, and whether one has changed."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.errors import ModelLoadError, ModelNotFound
from bundle import MANIFEST_FILE

Stamp = tuple[tuple[str, int, int, int, int], ...]
"""Name, size, modification and change time (ns) and inode of every file: another stamp, perhaps other contents."""


def version_folders(models: Path) -> Sequence[Path]:
    """The folders `<name>/<version>`, sorted; what begins with a dot is somebody's unfinished work.

    Raises ModelLoadError when there are none, or they cannot be listed.
    """
    try:
        found = sorted(_versions(models))
    except OSError as error:
        raise ModelLoadError(f"{models}: {error.strerror or 'cannot be read'}") from None
    if not found:
        raise ModelLoadError(f"{models}: no model bundle is there (GANSERVE_MODELS names the folder)")
    return found


def find_bundle(models: Path, reference: str) -> Path:
    """The folder of "name@version", or of the highest version of "name".

    Raises ModelNotFound, and ModelLoadError as `version_folders` does.
    """
    name, at, version = reference.partition("@")
    found = [folder for folder in version_folders(models) if folder.parent.name == name]
    if at:
        found = [folder for folder in found if folder.name == version]
    if not found:
        raise ModelNotFound(f"{models} has no model of this name and version")
    return max(found, key=lambda folder: int(folder.name))


def stamp_of(folder: Path) -> Stamp:
    """What tells, without reading a file, that nothing in a folder has changed; empty when it cannot be listed."""
    try:
        return tuple(
            (path.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            for path in sorted(folder.iterdir())
            for status in [path.lstat()]
        )
    except OSError:
        return ()


def has_manifest(folder: Path) -> bool:
    """Whether the manifest is there, without which a folder is no bundle yet."""
    try:
        return (folder / MANIFEST_FILE).is_file()
    except OSError:
        return False


def digest_of(folder: Path) -> str | None:
    """The SHA-256 of the manifest, which is the bundle's digest; None when it cannot be read."""
    try:
        with (folder / MANIFEST_FILE).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _versions(models: Path) -> Iterator[Path]:
    for name in models.iterdir():
        if name.is_dir() and not name.name.startswith("."):
            for version in name.iterdir():
                if version.is_dir() and re.fullmatch(r"[1-9][0-9]{0,8}", version.name):
                    yield version
