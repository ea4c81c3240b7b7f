"""The seed -> z contract: the only place that draws latent vectors."""

import threading
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bundle.manifest import LatentSpec

SEED_LIMIT = 2**32
"""Seeds are whole numbers in [0, SEED_LIMIT)."""


class _Streams(threading.local):
    """A generator per thread, which is seeded anew for every row: making one costs as much as seventy seedings."""

    def __init__(self) -> None:
        self.stream = np.random.RandomState(0)


_STREAMS = _Streams()


def sample_latents(spec: LatentSpec, seeds: Sequence[int]) -> NDArray[np.float32]:
    """Draw one latent vector per seed, float32 [len(seeds), spec.dim].

    Each seed owns a stream, `numpy.random.RandomState(seed)`, so a row depends on its seed alone and
    never on its neighbours. NumPy guarantees that this legacy stream stays as it is (NEP 19), which
    makes the vectors bit-equal on every machine; StyleGAN's tools draw theirs the same way.

    Raises ValueError for a seed outside [0, 2**32).
    """
    latents = np.empty((len(seeds), spec.dim), dtype=np.float32)
    stream = _STREAMS.stream
    for row, seed in enumerate(seeds):
        if not 0 <= seed < SEED_LIMIT:
            raise ValueError("a seed is a whole number from 0 to 4294967295")
        stream.seed(seed)
        if spec.distribution == "normal":
            latents[row] = stream.standard_normal(spec.dim)
        else:
            latents[row] = stream.uniform(-1.0, 1.0, spec.dim)
    return latents


def classes_of(latents: NDArray[np.float32], class_count: int) -> NDArray[np.int64]:
    """The class of each latent row when a conditional request names none, int64 [n].

    CRC-32 of the row's little-endian float32 bytes, modulo `class_count`. It is a function of z, hence
    of the seed, so posting back the latents of an image gives that image again, class included.
    """
    rows = np.ascontiguousarray(latents, dtype="<f4")
    return np.array([zlib.crc32(row.tobytes()) % class_count for row in rows], dtype=np.int64)


def latent_limit(spec: LatentSpec) -> float:
    """How far from zero a value of z may lie that was found rather than drawn: 1 for uniform latents, which end there,
    and 4 for normal ones, which pass it once in 16,000 values; a generator was hardly ever trained beyond.
    """
    return 1.0 if spec.distribution == "uniform" else 4.0
