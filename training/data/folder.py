"""Folders of images."""

from collections.abc import Iterator
from pathlib import Path

from training.data.collection import Progress, read_collection
from training.data.pictures import IMAGE_SUFFIXES, MAX_FILE_BYTES, Unreadable
from training.data.sets import Split


def read_folder(path: Path, resolution: int | None, progress: Progress | None = None) -> Split:
    """Read the PNG, JPEG, WebP and BMP files under `path`, in one subfolder per class or flat; see read_collection.

    What begins with a dot is passed over. Raises DataError.
    """

    def read(file: str) -> bytes:
        try:
            if (path / file).stat().st_size > MAX_FILE_BYTES:
                raise Unreadable(f"larger than {MAX_FILE_BYTES >> 20} MiB")
            return (path / file).read_bytes()
        except OSError as error:
            raise Unreadable(error.strerror or type(error).__name__) from None

    name = path.resolve().name
    return read_collection(_image_files(path), read, name=name, path=path, resolution=resolution, progress=progress)


def _image_files(path: Path) -> Iterator[str]:
    for file in path.rglob("*"):
        within = file.relative_to(path)
        hidden = any(part.startswith(".") for part in within.parts)
        if file.suffix.lower() in IMAGE_SUFFIXES and not hidden and file.is_file():
            yield within.as_posix()
