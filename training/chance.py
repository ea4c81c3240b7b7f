"""Random numbers as a function of what they are for, so that there is no state to save.

A stream that is told by (seed, purpose, images seen) is the same whether the run was stopped before it or not, and the
same in each of several processes.
"""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What numbers are drawn for; each has a stream of its own."""

    DISCRIMINATOR_STEP = 1
    GENERATOR_STEP = 2
    AUGMENT_DISCRIMINATOR = 3
    AUGMENT_GENERATOR = 4
    PENALTY = 5
    NOISE = 6
    DROPOUT = 7
    ENCODER_STEP = 8


def stream(seed: int, purpose: Purpose, images_seen: int) -> np.random.Generator:
    """The stream for one purpose at one point of a run."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, purpose, images_seen))))


def seed_torch(seed: int, images_seen: int, *, rank: int) -> None:
    """Begin torch's own streams anew, which dropout draws from: in each process another one."""
    state = np.random.SeedSequence((seed, Purpose.DROPOUT, images_seen, rank)).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]) >> 1)
