"""The queue in front of a network: bounded in images, fair between large requests and small, and aware of deadlines."""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engines.base import Arrays
from app.errors import DeadlineExceeded, QueueFull, ServeError

logger = logging.getLogger(__name__)

_SHARES = 8
"""A batch has room for this many large requests at once: each takes its turn with an eighth of it."""
_HOPEFUL = 0.8
"""A request is taken while its estimated wait is at most this part of the time it has: estimates err."""
_SMOOTHING = 0.1


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Outputs by name, one row per row submitted; seconds until the first batch began, and in batches."""

    outputs: dict[str, NDArray[Any]]
    queue_s: float
    inference_s: float


@dataclass(eq=False, slots=True)
class Job:
    """One request's rows and how far they have come; `taken` and `done` count rows."""

    inputs: Arrays
    rows: int
    deadline: float | None
    submitted: float
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[BatchResult]"
    taken: int = 0
    done: int = 0
    dropped: bool = False
    started: float | None = None
    inference_s: float = 0.0
    outputs: dict[str, NDArray[Any]] = field(default_factory=dict)

    def settle(self, outcome: BatchResult | ServeError) -> None:
        """Give the waiter its answer, on its event loop; one that has stopped waiting is not missed."""
        if self.answer.done():
            return
        if isinstance(outcome, BatchResult):
            self.answer.set_result(outcome)
        else:
            self.answer.set_exception(outcome)


Answers = list[tuple[Job, BatchResult | ServeError]]
"""Jobs that are over, and what comes of them."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows `start` to `stop` of a job, which are in one batch."""

    job: Job
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """How many."""
        return self.stop - self.start


class JobQueue:
    """Jobs that wait. Not thread-safe: whoever calls holds the batcher's lock.

    Waiting jobs take turns, so that a large one never starves a small one; one that was dropped, or whose deadline
    has passed, is not handed out.
    """

    def __init__(self, max_images: int) -> None:
        self.max_images = max_images
        self.waiting = 0
        self._held = 0
        self._jobs: deque[Job] = deque()
        self._images_per_s = 0.0

    @property
    def oldest(self) -> float | None:
        """When the job at the head was submitted."""
        return self._jobs[0].submitted if self._jobs else None

    def ran(self, rows: int, seconds: float, *, workers: int) -> None:
        """A batch of `rows` took so long on one of `workers`; it goes into the estimate of how long a wait will be."""
        speed = workers * rows / max(seconds, 1e-6)
        known = self._images_per_s
        self._images_per_s = speed if not known else (1 - _SMOOTHING) * known + _SMOOTHING * speed

    def refusal(self, rows: int, time_s: float | None) -> QueueFull | None:
        """Why `rows` more that have `time_s` seconds may not wait: there is no room, or their turn comes too late."""
        wait_s = (self.waiting + self._held) / self._images_per_s if self._images_per_s else 0.0
        retry_after_s = min(max(wait_s, 1.0), 60.0)
        if self.waiting + self._held + rows > self.max_images:
            return QueueFull("the queue of images is full", retry_after_s=retry_after_s)
        if time_s is not None and wait_s > _HOPEFUL * time_s:
            return QueueFull("the queue is too long for the time that this request has", retry_after_s=retry_after_s)
        return None

    def hold(self, rows: int) -> None:
        """Keep room for rows that are on their way, or, if negative, give it back."""
        self._held += rows

    def put(self, job: Job) -> None:
        """Let a job wait. Raises QueueFull for the reasons that `refusal` has."""
        time_s = None if job.deadline is None else job.deadline - job.submitted
        if (refusal := self.refusal(job.rows, time_s)) is not None:
            raise refusal
        self._jobs.append(job)
        self.waiting += job.rows

    def drop(self, job: Job) -> None:
        """Take a job out, wherever it is; rows that are in a batch already are run for nobody."""
        if not job.dropped:
            job.dropped = True
            self.waiting -= job.rows - job.taken
            if job in self._jobs:
                self._jobs.remove(job)

    def take(self, room: int, now: float, late: Callable[[Job, ServeError], None]) -> list[Slice]:
        """A batch of at most `room` rows: each waiting job in turn puts in a share, until it is full or nothing waits.

        `late` is called for each job whose deadline has passed.
        """
        share = max(1, room // _SHARES)
        first_row: dict[Job, int] = {}
        while room and self._jobs:
            job = self._jobs.popleft()
            if job.deadline is not None and job.deadline <= now:
                job.dropped = True
                self.waiting -= job.rows - job.taken
                late(job, DeadlineExceeded("the deadline passed before the images were ready"))
                continue
            count = min(share, room, job.rows - job.taken)
            first_row.setdefault(job, job.taken)
            job.taken += count
            room -= count
            self.waiting -= count
            if job.taken < job.rows:
                self._jobs.append(job)
            if job.started is None:
                job.started = now
        return [Slice(job, start, job.taken) for job, start in first_row.items()]

    def clear(self) -> list[Job]:
        """Take everything out."""
        left, self._jobs, self.waiting = list(self._jobs), deque(), 0
        for job in left:
            job.dropped = True
        return left


def row_count(inputs: Arrays) -> int:
    """The rows of a request. Raises ValueError for none, or for inputs of unequal lengths."""
    lengths = {len(values) for values in inputs.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"a request has one row or more in every input, not {sorted(lengths)}")
    return lengths.pop()


def gather(batch: list[Slice]) -> dict[str, NDArray[Any]]:
    """The inputs of a batch: the rows of its slices one after another."""
    names = batch[0].job.inputs
    if len(batch) == 1:
        only = batch[0]
        return {name: only.job.inputs[name][only.start : only.stop] for name in names}
    return {name: np.concatenate([p.job.inputs[name][p.start : p.stop] for p in batch]) for name in names}


def scatter(batch: list[Slice], outputs: Mapping[str, NDArray[Any]]) -> None:
    """Give every job its rows of a batch's outputs. Raises ValueError for outputs of another length than the batch."""
    stops = list(itertools.accumulate(part.rows for part in batch))
    for name, values in outputs.items():
        if len(values) != stops[-1]:
            raise ValueError(f"output {name} has {len(values)} rows for a batch of {stops[-1]}")
        for part, stop in zip(batch, stops, strict=True):
            job, rows = part.job, values[stop - part.rows : stop]
            if part.rows == job.rows:
                # A copy where others share the batch: a slice would keep all of it alive.
                job.outputs[name] = rows if len(batch) == 1 else rows.copy()
            else:
                # setdefault is atomic: of two workers with parts of one job, one makes room for both.
                whole = job.outputs.setdefault(name, np.empty((job.rows, *values.shape[1:]), values.dtype))
                whole[part.start : part.stop] = rows


def tell(answers: Answers) -> None:
    """Hand the answers to the waiters' event loops, each of which is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, Answers] = {}
    for job, outcome in answers:
        by_loop.setdefault(job.loop, []).append((job, outcome))
    for loop, its in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, its)
        except RuntimeError:  # the loop is closed
            logger.debug("an answer found its event loop closed")


def _settle(answers: Answers) -> None:
    for job, outcome in answers:
        job.settle(outcome)
