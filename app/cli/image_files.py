"""Image files on a command line, as a model's networks take them."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from app import imaging
from app.errors import RequestError
from app.registry import LiveModel

IMAGES = click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
_MAX_PIXELS = 64 * 2**20


def read_image(path: Path, model: LiveModel) -> tuple[NDArray[np.uint8], Sequence[str]]:
    """A file in the model's own shape, uint8 [1, height, width, channels], and what was changed.

    Raises ClickException, which names the file, for one that cannot be read.
    """
    spec = model.manifest.image
    try:
        picture, opened = imaging.decode(path.read_bytes(), max_pixels=_MAX_PIXELS)
    except RequestError as error:
        raise click.ClickException(f"{path}: {error}") from None
    pixels, fitted = imaging.fit(picture, height=spec.height, width=spec.width, channels=spec.channels)
    return pixels[None], opened + fitted


def remark(changes: Sequence[str]) -> str:
    """What was changed, as the end of a line; nothing where nothing was."""
    return f"  ({'; '.join(changes)})" if changes else ""
