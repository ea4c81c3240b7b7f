"""Pixels as numpy has them; the one place that needs numpy, which is optional."""

from __future__ import annotations

import importlib.util
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def require_numpy() -> None:
    """Raise ImportError where numpy is not installed."""
    if importlib.util.find_spec("numpy") is None:
        raise ImportError("array() needs numpy: install ganserve-client[numpy]")


def read_array(data: bytes) -> NDArray[np.uint8]:
    """The images of an .npy file: uint8 [n, height, width, channels]. Raises ValueError for any other file."""
    import numpy as np  # noqa: PLC0415 -- so that all else works without it

    found = np.load(io.BytesIO(data), allow_pickle=False)
    if not isinstance(found, np.ndarray) or found.dtype != np.uint8:
        raise ValueError("no array of uint8")
    return found
