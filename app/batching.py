"""Dynamic batching: requests of any size become batches of one network, fairly and within bounds."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from app.engines.base import Arrays, Engine, EngineLost
from app.errors import DeadlineExceeded, Draining, ModelFailure, NotReady, QueueFull, ServeError
from app.job_queue import Answers, BatchResult, Job, JobQueue, Slice, gather, row_count, scatter, tell

__all__ = ["BatchObserver", "BatchResult", "Batcher"]

logger = logging.getLogger(__name__)

_ALONE = 8
"""So many requests in a row that met no other make it likely that the next one will not either."""

_INLINE_ENDS_S = 5.0
"""Closing waits no longer for a row that runs inline, which takes milliseconds."""


class BatchObserver(Protocol):
    """Hears of every batch that was run; called from the worker threads."""

    def batch_done(self, *, rows: int, inference_s: float) -> None:
        """A batch of `rows` took `inference_s` seconds, failed or not."""
        ...


class _Worker:
    """An engine, the thread that runs it, and what the thread waits on when there is nothing for it to do."""

    def __init__(self, engine: Engine, lock: threading.Lock, work: Callable[["_Worker"], None]) -> None:
        self.engine = engine
        self.idle = False
        self.wake = threading.Condition(lock)
        self.thread = threading.Thread(target=work, args=(self,), name="batcher", daemon=True)


class Batcher:
    """Engines of one network, a worker thread for each, and one queue that is bounded in rows (images).

    Small requests share a batch and large ones are split. Waiting requests take turns, so that a large one never
    starves a small one; a request whose client has gone, or whose deadline has passed, is not run, and one that would
    have to wait past its deadline is refused.

    The first engine that is idle takes the work. Another one joins for every further `share_rows` rows that wait:
    engines on devices of their own should share every row, while those that compete for the same cores, and for the
    interpreter lock, had better leave small batches to one of them, whose weights are in the core's cache.

    A single row that takes less than `inline_s` seconds is run where it was submitted, as long as no two requests have
    met for a while: waking a worker and being woken by it would take a good part of that time.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        max_batch_size: int,
        max_queue_delay_s: float,
        max_queue_images: int,
        observer: BatchObserver,
        share_rows: int = 1,
        inline_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_batch_size = max_batch_size
        self._max_queue_delay_s = max_queue_delay_s
        self._observer = observer
        self._clock = clock
        self._share_rows = share_rows
        self._inline_s = inline_s
        self._row_s = float("inf")
        self._alone = 0
        self._inline = False
        self._queue = JobQueue(max_queue_images)
        self._closing = False
        self._died = False
        # Guards the queue, the jobs' progress, the workers' and all other flags.
        self._lock = threading.Lock()
        self._workers = [_Worker(engine, self._lock, self._work) for engine in engines]
        for worker in self._workers:
            worker.thread.start()

    @property
    def alive(self) -> bool:
        """Whether every worker thread runs; a batcher with a dead one answers no one."""
        return not self._died and all(worker.thread.is_alive() for worker in self._workers)

    @property
    def queue_depth(self) -> int:
        """Images that wait, those of running batches not counted."""
        return self._queue.waiting

    @property
    def idle_workers(self) -> int:
        """Workers that wait for work."""
        return sum(worker.idle for worker in self._workers)

    @property
    def max_queue_images(self) -> int:
        """How many may wait."""
        return self._queue.max_images

    @property
    def provider(self) -> str:
        """The execution provider of the engines."""
        return self._workers[0].engine.provider

    def refusal(self, rows: int, time_s: float | None) -> QueueFull | None:
        """Why a request of `rows` that has `time_s` seconds would be refused now; None if it would not."""
        with self._lock:
            return self._queue.refusal(rows, time_s)

    @contextmanager
    def holding(self, rows: int, *, deadline: float | None) -> Iterator[None]:
        """Keep room in the queue while the inputs of `rows` are being made. Raises QueueFull, as `submit` would."""
        with self._lock:
            time_s = None if deadline is None else deadline - self._clock()
            if (refusal := self._queue.refusal(rows, time_s)) is not None:
                raise refusal
            self._queue.hold(rows)
        try:
            yield
        finally:
            with self._lock:
                self._queue.hold(-rows)

    async def submit(self, inputs: Arrays, *, deadline: float | None) -> BatchResult:
        """Run the rows of `inputs` (one array per input, equal lengths) and return a row of output for each.

        `deadline` is on the batcher's clock, time.monotonic by default. Raises QueueFull, Draining, NotReady,
        DeadlineExceeded, ModelFailure when an engine failed, and ValueError for no rows or unequal lengths.
        Cancelling the caller takes the work out of the queue.
        """
        loop = asyncio.get_running_loop()
        rows = row_count(inputs)
        job = Job(inputs, rows, deadline, self._clock(), loop, loop.create_future())
        late = DeadlineExceeded("the deadline passed before the images were ready")
        if deadline is not None and deadline <= job.submitted:
            raise late
        if self._may_run_here(rows):
            return await self._run_here(job)
        self._enqueue(job)
        timer = None if deadline is None else loop.call_later(deadline - job.submitted, job.settle, late)
        try:
            return await job.answer
        finally:
            if timer is not None:
                timer.cancel()
            if job.done < rows:
                with self._lock:
                    self._queue.drop(job)

    def _may_run_here(self, rows: int) -> bool:
        """Whether this thread may take the first engine for one row; it is then this thread's."""
        if not self._inline_s:
            return False
        with self._lock:
            alone = not self._inline and not self._queue.waiting and self.idle_workers == len(self._workers)
            self._alone = self._alone + 1 if alone else 0
            self._inline = self._inline or (
                rows == 1 and self._alone > _ALONE and self._row_s < self._inline_s and not self._closing
            )
            return alone and self._inline

    async def _run_here(self, job: Job) -> BatchResult:
        """Run a job of one row on this very thread, then let others who came meanwhile be seen."""
        answers: Answers = []
        job.taken = job.rows  # it never waits
        try:
            self._run(self._workers[0].engine, [Slice(job, 0, job.rows)], answers.extend)
            # Their data is read in the next turn of the loop, and their tasks run in the one after.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            with self._lock:
                self._inline = False
                self._wake_some()
                if self._closing:
                    self._wake_all()
        job.settle(answers[0][1])
        return await job.answer

    def close(self) -> None:
        """Refuse new work, fail what waits with Draining, let the running batches end, and free the engines."""
        with self._lock:
            self._closing = True
            self._wake_all()
            self._workers[0].wake.wait_for(lambda: not self._inline, _INLINE_ENDS_S)
        for worker in self._workers:
            worker.thread.join()
        for worker in self._workers:
            worker.engine.close()

    def _enqueue(self, job: Job) -> None:
        with self._lock:
            if self._died:
                raise NotReady("the model is not being served")
            if self._closing:
                raise Draining("the service is shutting down")
            self._queue.put(job)
            if self._max_queue_delay_s:
                self._wake_all()  # one of them may be waiting for more
            else:
                self._wake_some()

    def _wake_some(self) -> None:
        """Wake as many idle workers as there is work for, the first ones first; the lock is held."""
        idle = [worker for worker in self._workers if worker.idle]
        nobody = len(idle) == len(self._workers)
        for worker in idle[: max(int(nobody and self._queue.waiting > 0), self._queue.waiting // self._share_rows)]:
            worker.wake.notify()

    def _wake_all(self) -> None:
        for worker in self._workers:
            worker.wake.notify_all()

    def _work(self, worker: _Worker) -> None:
        batch: list[Slice] | None = []
        try:
            while (batch := self._next_batch(worker)) is not None:
                self._run(worker.engine, batch, tell)
        except BaseException:
            logger.exception("the batcher died")
            self._died = True
            gone = NotReady("the model is not being served")
            tell([(part.job, gone) for part in batch or ()])
            self._fail_waiting(gone)
        else:
            self._fail_waiting(Draining("the service is shutting down"))

    def _next_batch(self, worker: _Worker) -> list[Slice] | None:
        """Wait for work and take a batch of it, empty if all of it was too late; None once the batcher closes."""
        late: Answers = []
        with self._lock:
            batch: list[Slice] = []
            while not batch and not late:
                while not self._closing and not self._has_work():
                    worker.idle = True
                    worker.wake.wait()
                    worker.idle = False
                if self._closing:
                    return None
                self._wait_for_more(worker)
                batch = self._queue.take(self._room(), self._clock(), lambda job, error: late.append((job, error)))
            if self._queue.waiting:
                self._wake_some()
        tell(late)
        return batch

    def _has_work(self) -> bool:
        """Whether there is work for one more worker than are busy; the lock is held."""
        waiting = 0 if self._inline else self._queue.waiting
        return waiting >= self._share_rows or (waiting > 0 and self.idle_workers >= len(self._workers) - 1)

    def _room(self) -> int:
        """The rows of the next batch: this worker's part, where others that are idle will take theirs."""
        waiting = self._queue.waiting
        parts = max(1, min(1 + self.idle_workers, waiting // self._share_rows))
        return min(self.max_batch_size, -(-waiting // parts))

    def _wait_for_more(self, worker: _Worker) -> None:
        """Give a batch that is not full the time that the oldest request has left to wait."""
        if not self._max_queue_delay_s or self._queue.oldest is None:
            return
        until = self._queue.oldest + self._max_queue_delay_s
        while not self._closing and self._queue.waiting < self.max_batch_size and (left := until - self._clock()) > 0:
            worker.wake.wait(left)

    def _run(self, engine: Engine, batch: list[Slice], tell_them: Callable[[Answers], None]) -> None:
        if not batch:
            return
        rows = sum(part.rows for part in batch)
        started = self._clock()
        try:
            scatter(batch, engine.run(gather(batch)))
        except EngineLost:
            raise
        except Exception:  # whatever else an engine raises: every waiter hears of it, and the worker goes on
            logger.exception("a batch of %d failed", rows)
            self._observer.batch_done(rows=rows, inference_s=self._clock() - started)
            failure = ModelFailure("the model failed on this request")
            with self._lock:
                for part in batch:
                    self._queue.drop(part.job)
            tell_them([(part.job, failure) for part in batch])
            return
        elapsed = self._clock() - started
        self._observer.batch_done(rows=rows, inference_s=elapsed)
        if rows == 1:
            self._row_s = min(elapsed, 0.9 * self._row_s + 0.1 * elapsed)
        tell_them(self._account(batch, rows, elapsed))

    def _account(self, batch: list[Slice], rows: int, elapsed: float) -> Answers:
        """Note what a batch has done; returns the answers of the jobs whose last rows these were."""
        answers: Answers = []
        with self._lock:
            self._queue.ran(rows, elapsed, workers=len(self._workers))
            for part in batch:
                job = part.job
                job.done += part.rows
                job.inference_s += elapsed
                if job.done == job.rows:
                    queue_s = (job.submitted if job.started is None else job.started) - job.submitted
                    answers.append((job, BatchResult(job.outputs, queue_s, job.inference_s)))
        return answers

    def _fail_waiting(self, error: ServeError) -> None:
        with self._lock:
            self._closing = True
            left = self._queue.clear()
            self._wake_all()
        tell([(job, error) for job in left])
