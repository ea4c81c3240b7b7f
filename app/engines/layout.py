"""How many sessions a network gets on the CPU, with how many threads each: measured on the network itself."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from app.engines.base import Arrays, Engine

logger = logging.getLogger(__name__)

_WORTH_IT = 0.7
"""Of a thread's time, at least so much has to become speed, or it serves better in a session of its own."""
_MOST_SESSIONS = 8
_MOST_WEIGHT_BYTES = 2**30
_TIMED_S, _LEAST_RUNS, _MOST_RUNS = 0.1, 3, 50
_ROUNDS = 3
"""Candidates take turns, so that a busy second spoils all of them or none."""


class Layout(NamedTuple):
    """Sessions of one network, and threads of each."""

    sessions: int
    threads: int


class Wanted(NamedTuple):
    """What was asked for; 0 where it is to be found out."""

    sessions: int
    threads: int


def choose(seconds: Mapping[int, float], *, cores: int, most_sessions: int = _MOST_SESSIONS) -> Layout:
    """The layout for a network of which one row takes `seconds[threads]`, which has an entry for one thread.

    As many threads as still pay, then as many sessions as there are cores for. Small networks come out at a session
    per core, large ones at one session over all cores, where a single request is fastest too.
    """
    pays = [threads for threads in seconds if seconds[1] / seconds[threads] >= _WORTH_IT * threads]
    threads = max(pays, default=1)
    return Layout(max(1, min(cores // threads, most_sessions)), threads)


def candidates(cores: int) -> list[int]:
    """Numbers of threads to try: powers of two, and all cores."""
    return sorted({2**power for power in range(cores.bit_length()) if 2**power <= cores} | {cores})


def lay_out(
    first: Engine, open_with: Callable[[int], Engine], rows: Arrays, *, wanted: Wanted, cores: int, weight_bytes: int
) -> tuple[list[Engine], Layout]:
    """Engines of one network on the CPU, `first` among them where it fits.

    `first` has wanted.threads threads, or one; `open_with` opens another with so many. `rows` are what the network
    takes; engines that give them other bits than the first do not serve. What is not used is closed, and when
    something raises all but `first` is.
    """
    most = max(1, min(_MOST_SESSIONS, _MOST_WEIGHT_BYTES // max(1, weight_bytes)))
    opened = {wanted.threads or 1: first}
    used: list[Engine] = []
    try:
        if wanted.threads:
            layout = Layout(wanted.sessions or min(max(1, cores // wanted.threads), most), wanted.threads)
        elif wanted.sessions:
            layout = Layout(wanted.sessions, max(1, cores // wanted.sessions))
        else:
            one = {name: values[:1] for name, values in rows.items()}
            for threads in candidates(cores)[1:]:
                opened[threads] = open_with(threads)
            seconds = dict.fromkeys(opened, math.inf)
            for _ in range(_ROUNDS):
                for threads, engine in opened.items():
                    seconds[threads] = min(seconds[threads], _seconds(engine, one))
            layout = choose(seconds, cores=cores, most_sessions=most)
        used = [opened.pop(layout.threads) if layout.threads in opened else open_with(layout.threads)]
        bits = _bits(used[0], rows)
        while len(used) < layout.sessions:
            another = open_with(layout.threads)
            if _bits(another, rows) != bits:
                another.close()
                logger.warning("a second session of a network gives other bits here; it is served with one")
                break
            used.append(another)
    except BaseException:
        for engine in [*opened.values(), *used]:
            if engine is not first:
                engine.close()
        raise
    for engine in opened.values():
        engine.close()
    return used, Layout(len(used), layout.threads)


def _seconds(engine: Engine, row: Arrays) -> float:
    """What one row takes: the quickest of several runs after one that warms up, since all else only slows it down."""
    engine.run(row)
    took: list[float] = []
    while len(took) < _LEAST_RUNS or (len(took) < _MOST_RUNS and sum(took) < _TIMED_S):
        began = time.perf_counter()
        engine.run(row)
        took.append(time.perf_counter() - began)
    return max(min(took), 1e-9)


def _bits(engine: Engine, rows: Arrays) -> list[bytes]:
    return [np.ascontiguousarray(values).tobytes() for values in engine.run(rows).values()]
