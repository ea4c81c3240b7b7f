"""How settings move while a run goes on, as pure functions of the images seen."""

import math


def cosine(start: float, end: float, share: float) -> float:
    """From `start` to `end` as `share` goes from 0 to 1, along half a cosine; `end` from there on."""
    share = min(max(share, 0.0), 1.0)
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def linear_decay(share: float) -> float:
    """1 over the first half of a run, then evenly down to 0 as `share` goes to 1."""
    return min(1.0, max(2 * (1 - share), 0.0))
