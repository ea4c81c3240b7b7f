"""Modes of StackedMNIST: how many of the 1000 three-digit images a generator makes (Metz et al., 2017)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MODES = 1000


@dataclass(frozen=True)
class Modes:
    """How many of the 1000 modes were made at all, and KL(made || uniform) in nats, 0 at best."""

    found: int
    divergence: float


def count_modes(modes: NDArray[np.int64]) -> Modes:
    """Of the modes that n images were judged to show, int64 [n] from 0 to 999."""
    share = np.bincount(modes, minlength=MODES) / len(modes)
    made = share[share > 0]
    return Modes(found=len(made), divergence=float((made * np.log(made * MODES)).sum()))
