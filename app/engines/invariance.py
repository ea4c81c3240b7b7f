"""Whether an engine gives a row the same bits alone, in small batches and anywhere in a full one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engines.base import Arrays, Engine

_SMALL_BATCHES = (2, 3, 7)
"""The one after a batch of one, where kernels change, and two that leave odd remainders to vector loops."""


def batch_invariant(engine: Engine, rows: Arrays, *, max_batch_size: int) -> bool:
    """Whether every one of `rows` (arrays of equal length, one per input) gets the bits that it gets alone.

    A kernel may sum in another order for a batch of one, for another number of rows, or for a row that lies elsewhere
    in memory (docs/adr/0003-the-same-image-in-every-batch.md), so each row is tried at several sizes and places.
    Runs about 2 * len(rows) + max_batch_size rows in all. Raises what the engine raises.
    """
    count = len(next(iter(rows.values())))
    alone = [_bits(engine.run(_pick(rows, [row])), 0) for row in range(count)]
    sizes = {size for size in _SMALL_BATCHES if size < max_batch_size} | {max_batch_size}
    start = 1  # so that no row lies where its number would put it
    for size in sorted(sizes):
        for _ in range(-(-count // size)):
            picked = [(start + place) % count for place in range(size)]
            outputs = engine.run(_pick(rows, picked))
            if any(_bits(outputs, place) != alone[row] for place, row in enumerate(picked)):
                return False
            start += size
    return True


def _pick(rows: Arrays, numbers: list[int]) -> dict[str, NDArray[Any]]:
    return {name: np.ascontiguousarray(values[numbers]) for name, values in rows.items()}


def _bits(outputs: Arrays, row: int) -> list[bytes]:
    return [values[row].tobytes() for values in outputs.values()]
