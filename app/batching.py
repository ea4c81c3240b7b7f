"""Dynamic batching: requests of any size become batches of one network, fairly and within bounds."""

import asyncio
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.engines.base import Arrays, Engine
from app.errors import DeadlineExceeded, Draining, ModelFailure, NotReady, QueueFull, ServeError

logger = logging.getLogger(__name__)

_SHARES = 8
"""A batch has room for this many large requests at once: each takes its turn with an eighth of it."""


class BatchObserver(Protocol):
    """Hears of every batch that was run; called from the worker thread."""

    def batch_done(self, *, rows: int, inference_s: float) -> None:
        """A batch of `rows` took `inference_s` seconds, failed or not."""
        ...


@dataclass(frozen=True)
class BatchResult:
    """Outputs by name, one row per row submitted; seconds until the first batch began, and in batches."""

    outputs: dict[str, NDArray[Any]]
    queue_s: float
    inference_s: float


@dataclass(eq=False)
class _Job:
    inputs: Arrays
    rows: int
    deadline: float | None
    submitted: float
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[BatchResult]
    taken: int = 0
    done: int = 0
    dropped: bool = False
    started: float | None = None
    inference_s: float = 0.0
    outputs: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Slice:
    job: _Job
    start: int
    stop: int


class Batcher:
    """One engine, one worker thread, one queue that is bounded in rows (images).

    Small requests share a batch and large ones are split. Waiting requests take turns, so that a large one never
    starves a small one; a request whose client has gone, or whose deadline has passed, is not run.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_batch_size: int,
        max_queue_delay_s: float,
        max_queue_images: int,
        observer: BatchObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self.max_batch_size = max_batch_size
        self._max_queue_delay_s = max_queue_delay_s
        self.max_queue_images = max_queue_images
        self._observer = observer
        self._clock = clock
        self._queue: deque[_Job] = deque()
        self._waiting = 0
        self._images_per_s = 0.0
        self._closing = False
        self._died = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the worker thread runs; a batcher that is dead answers no one."""
        return self._thread.is_alive()

    @property
    def queue_depth(self) -> int:
        """Images that wait, those of running batches not counted."""
        return self._waiting

    @property
    def provider(self) -> str:
        """The execution provider of the engine."""
        return self._engine.provider

    async def submit(self, inputs: Arrays, *, deadline: float | None) -> BatchResult:
        """Run the rows of `inputs` (one array per input, equal lengths) and return a row of output for each.

        `deadline` is on the batcher's clock, time.monotonic by default. Raises QueueFull, Draining, NotReady,
        DeadlineExceeded, ModelFailure when the engine failed, and ValueError for no rows or unequal lengths.
        Cancelling the caller takes the work out of the queue.
        """
        loop = asyncio.get_running_loop()
        rows = _row_count(inputs)
        job = _Job(inputs, rows, deadline, self._clock(), loop, loop.create_future())
        self._enqueue(job)
        try:
            timeout_s = None if deadline is None else max(0.0, deadline - job.submitted)
            return await asyncio.wait_for(job.answer, timeout_s)
        except TimeoutError:
            raise DeadlineExceeded("the deadline passed before the images were ready") from None
        finally:
            if job.done < rows:
                self._drop(job)

    def close(self) -> None:
        """Refuse new work, fail what waits with Draining, let the running batch end, and free the engine."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._engine.close()

    def _enqueue(self, job: _Job) -> None:
        with self._changed:
            if self._died:
                raise NotReady("the model is not being served")
            if self._closing:
                raise Draining("the service is shutting down")
            if self._waiting + job.rows > self.max_queue_images:
                wait_s = self._waiting / self._images_per_s if self._images_per_s else 1.0
                raise QueueFull("the queue of images is full", retry_after_s=min(max(wait_s, 1.0), 60.0))
            self._queue.append(job)
            self._waiting += job.rows
            self._changed.notify()

    def _drop(self, job: _Job) -> None:
        with self._changed:
            if not job.dropped:
                job.dropped = True
                self._waiting -= job.rows - job.taken
                if job in self._queue:
                    self._queue.remove(job)

    def _work(self) -> None:
        batch: list[_Slice] | None = []
        try:
            while (batch := self._next_batch()) is not None:
                self._run(batch)
        except BaseException:
            logger.exception("the batcher died")
            self._died = True
            gone = NotReady("the model is not being served")
            for part in batch or ():
                _answer(part.job, gone)
            self._fail_waiting(gone)
        else:
            self._fail_waiting(Draining("the service is shutting down"))

    def _next_batch(self) -> list[_Slice] | None:
        """Wait for work and take a batch of it; None once the batcher closes."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if self._closing:
                    return None
                self._wait_for_more()
                if batch := self._take():
                    return batch

    def _wait_for_more(self) -> None:
        """Give a batch that is not full the time that the oldest request has left to wait."""
        if not self._max_queue_delay_s or not self._queue:
            return
        until = self._queue[0].submitted + self._max_queue_delay_s
        while not self._closing and self._waiting < self.max_batch_size and (left := until - self._clock()) > 0:
            self._changed.wait(left)

    def _take(self) -> list[_Slice]:
        """Fill a batch: each waiting request in turn puts in a share, until the batch is full or nothing waits."""
        now = self._clock()
        room = self.max_batch_size
        share = max(1, self.max_batch_size // _SHARES)
        first_row: dict[_Job, int] = {}
        while room and self._queue:
            job = self._queue.popleft()
            if job.deadline is not None and job.deadline <= now:
                job.dropped = True
                self._waiting -= job.rows - job.taken
                _answer(job, DeadlineExceeded("the deadline passed before the images were ready"))
                continue
            count = min(share, room, job.rows - job.taken)
            first_row.setdefault(job, job.taken)
            job.taken += count
            room -= count
            self._waiting -= count
            if job.taken < job.rows:
                self._queue.append(job)
        for job in first_row:
            if job.started is None:
                job.started = now
        return [_Slice(job, start, job.taken) for job, start in first_row.items()]

    def _run(self, batch: list[_Slice]) -> None:
        rows = sum(part.stop - part.start for part in batch)
        started = self._clock()
        try:
            outputs = self._engine.run(_gather(batch))
            _require_rows(outputs, rows)
        except Exception:  # whatever an engine raises: every waiter hears of it, and the worker goes on
            logger.exception("a batch of %d failed", rows)
            self._observer.batch_done(rows=rows, inference_s=self._clock() - started)
            for part in batch:
                self._drop(part.job)
                _answer(part.job, ModelFailure("the model failed on this request"))
            return
        elapsed = self._clock() - started
        self._observer.batch_done(rows=rows, inference_s=elapsed)
        speed = rows / max(elapsed, 1e-6)
        self._images_per_s = speed if not self._images_per_s else 0.9 * self._images_per_s + 0.1 * speed
        self._scatter(batch, outputs, elapsed)

    def _scatter(self, batch: list[_Slice], outputs: Mapping[str, NDArray[Any]], elapsed: float) -> None:
        stops = itertools.accumulate(part.stop - part.start for part in batch)
        for part, stop in zip(batch, stops, strict=True):
            job, count = part.job, part.stop - part.start
            for name, values in outputs.items():
                rows = values[stop - count : stop]
                if count == job.rows:
                    # A copy where others share the batch: a slice would keep all of it alive.
                    job.outputs[name] = rows if len(batch) == 1 else rows.copy()
                else:
                    whole = job.outputs.setdefault(name, np.empty((job.rows, *values.shape[1:]), values.dtype))
                    whole[part.start : part.stop] = rows
            job.done += count
            job.inference_s += elapsed
            if job.done == job.rows:
                queue_s = (job.submitted if job.started is None else job.started) - job.submitted
                _answer(job, BatchResult(job.outputs, queue_s, job.inference_s))

    def _fail_waiting(self, error: ServeError) -> None:
        with self._changed:
            self._closing = True
            left, self._queue, self._waiting = list(self._queue), deque(), 0
            for job in left:
                job.dropped = True
        for job in left:
            _answer(job, error)


def _row_count(inputs: Arrays) -> int:
    lengths = {len(values) for values in inputs.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"a request has one row or more in every input, not {sorted(lengths)}")
    return lengths.pop()


def _gather(batch: list[_Slice]) -> dict[str, NDArray[Any]]:
    names = batch[0].job.inputs
    if len(batch) == 1:
        only = batch[0]
        return {name: only.job.inputs[name][only.start : only.stop] for name in names}
    return {name: np.concatenate([p.job.inputs[name][p.start : p.stop] for p in batch]) for name in names}


def _require_rows(outputs: Mapping[str, NDArray[Any]], rows: int) -> None:
    for name, values in outputs.items():
        if len(values) != rows:
            raise ValueError(f"output {name} has {len(values)} rows for a batch of {rows}")


def _answer(job: _Job, outcome: BatchResult | ServeError) -> None:
    """Hand the outcome to the waiter's event loop; a waiter that has gone, loop and all, is not missed."""

    def settle() -> None:
        if job.answer.done():
            return
        if isinstance(outcome, BatchResult):
            job.answer.set_result(outcome)
        else:
            job.answer.set_exception(outcome)

    try:
        job.loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop is closed
        logger.debug("an answer found its event loop closed")
