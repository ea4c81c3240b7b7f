"""Arrays that begin where a vector register's line does, so that a rounding never depends on where numpy put them."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_ALIGNMENT_BYTES = 64


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of that shape, its values whatever was there."""
    kind = np.dtype(dtype)
    size = kind.itemsize * int(np.prod(shape))
    room = np.empty(size + _ALIGNMENT_BYTES, dtype=np.uint8)
    start = -room.ctypes.data % _ALIGNMENT_BYTES
    return room[start : start + size].view(kind).reshape(shape)


def aligned(values: NDArray[Any]) -> NDArray[Any]:
    """The same values, copied only where they do not begin at such a line.

    A reduction of an input begins its vector loop at such a line. ONNX Runtime aligns its own buffers.
    """
    if values.flags.c_contiguous and values.ctypes.data % _ALIGNMENT_BYTES == 0:
        return values
    copy = aligned_empty(values.shape, values.dtype)
    copy[...] = values
    return copy
