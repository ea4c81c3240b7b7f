"""The order in which images are shown."""

import numpy as np
from numpy.typing import NDArray


class Sampler:
    """An endless stream of indices, epoch after epoch, that can be stopped and taken up again.

    The order of an epoch depends on (seed, epoch) alone, so `position`, the number of indices given out, is the whole
    state.
    """

    def __init__(self, length: int, seed: int, position: int = 0) -> None:
        self._length = length
        self._seed = seed
        self.position = position

    def take(self, count: int) -> NDArray[np.int64]:
        """The next `count` indices, int64 [count]; runs on into the next epoch where one ends."""
        parts = []
        while count > 0:
            epoch, offset = divmod(self.position, self._length)
            part = self._order(epoch)[offset : offset + count]
            parts.append(part)
            self.position += len(part)
            count -= len(part)
        return np.concatenate(parts)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if getattr(self, "_epoch", None) != epoch:
            self._epoch = epoch
            self._cached = np.random.default_rng([self._seed, epoch]).permutation(self._length)
        return self._cached
