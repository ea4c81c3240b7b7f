"""A closed loop over HTTP/1.1: so many clients that each ask again as soon as they are answered, and what they saw."""

import asyncio
import contextlib
import json
import secrets
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from app.bench.http1 import Answer, Connection
from app.bench.statistics import percentile

Format = Literal["png", "jpeg", "webp", "npy"]

_RECONNECT_S = 0.05
_LONGEST = 10
"""A window goes on until there was an answer for each client, but not beyond this many times its seconds."""
_SEEDS = 2**32


@dataclass(frozen=True)
class Target:
    """Where requests go and what each asks for; `model` None is the service's default model."""

    host: str
    port: int
    format: Format = "png"
    model: str | None = None
    api_key: str | None = None


@dataclass(frozen=True)
class Cell:
    """One load: `connections` clients that ask for `images` images a request."""

    connections: int
    images: int


@dataclass(frozen=True)
class Outcome:
    """What the clients of one cell saw.

    Rates and latencies are those of 2xx answers within the window of `seconds`; latencies, of which every one is kept,
    are 0 where there was none. `statuses` counts all answers, and beside them "lost" (the connection failed or closed)
    and "unanswered" (nothing came in the whole window). `client_cpu_share` is the load generator's CPU time over the
    window: near 1 it held the service up.
    """

    cell: Cell
    seconds: float
    requests_per_s: float
    images_per_s: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    good: int
    statuses: dict[str, int]
    client_cpu_share: float

    @property
    def errors(self) -> int:
        """Requests without a 2xx answer."""
        return sum(self.statuses.values()) - self.good

    def as_json(self) -> dict[str, object]:
        """Plain data; a latency that there is none of is None."""
        found = {**asdict(self.cell), **asdict(self), "errors": self.errors}
        del found["cell"]
        return found if self.good else {**found, "p50_ms": None, "p90_ms": None, "p99_ms": None}


def measure(target: Target, cell: Cell, *, warm_up_s: float, seconds: float) -> Outcome:
    """Drive one cell: `warm_up_s` that does not count, then a window of `seconds`; longer where answers are slow."""
    with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
        return runner.run(_ClosedLoop(target, cell).run(warm_up_s=warm_up_s, seconds=seconds))


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one: what the clients take of the cores, the service cannot have."""
    try:
        import uvloop  # noqa: PLC0415 -- not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


class Requests:
    """The bytes of requests for `images` images each, of seeds that were not asked for before."""

    def __init__(self, target: Target, images: int) -> None:
        self._images = images
        accept = "application/x-npy" if target.format == "npy" else f"image/{target.format}"
        if images > 1 and target.format != "npy":
            accept = "application/json"
        lines = ["POST /generate HTTP/1.1", f"Host: {target.host}:{target.port}", "Content-Type: application/json"]
        lines += [f"Accept: {accept}"]
        lines += [] if target.api_key is None else [f"Authorization: Bearer {target.api_key}"]
        self._head = "\r\n".join([*lines, "Content-Length: "])
        model = "" if target.model is None else f',"model":{json.dumps(target.model)}'
        self._tail = f'],"format":"{target.format}"{model}}}'
        # Another run must not find its seeds in the cache of a service that runs on.
        self._seed = secrets.randbelow(_SEEDS)

    def __next__(self) -> bytes:
        seeds = ",".join(str((self._seed + offset) % _SEEDS) for offset in range(self._images))
        self._seed += self._images
        body = f'{{"seeds":[{seeds}{self._tail}'
        return f"{self._head}{len(body)}\r\n\r\n{body}".encode()


class _ClosedLoop:
    # uvloop's own clock counts whole milliseconds, so time is perf_counter's here.

    def __init__(self, target: Target, cell: Cell) -> None:
        self._target, self._cell = target, cell
        self._requests = Requests(target, cell.images)
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = True
        self._reset()

    def _reset(self) -> None:
        self._latencies_ms = array("d")
        self._statuses: Counter[str] = Counter()
        self._each_answered = asyncio.Event()
        self._opened = time.perf_counter()
        self._opened_cpu_s = time.process_time()

    async def run(self, *, warm_up_s: float, seconds: float) -> Outcome:
        for _ in range(self._cell.connections):
            self._open()
        await asyncio.sleep(warm_up_s)
        self._reset()
        await asyncio.sleep(seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((_LONGEST - 1) * seconds):
                await self._each_answered.wait()
        found = self._outcome()
        await self._close()
        return found

    def _outcome(self) -> Outcome:
        now = time.perf_counter()
        seconds = now - self._opened
        unanswered = sum(one.sent_at is not None and one.sent_at <= self._opened for one in self._connections)
        if unanswered:
            self._statuses["unanswered"] += unanswered
        latencies, good = self._latencies_ms or array("d", [0.0]), len(self._latencies_ms)
        return Outcome(
            self._cell,
            seconds=seconds,
            requests_per_s=good / seconds,
            images_per_s=good * self._cell.images / seconds,
            p50_ms=percentile(latencies, 0.50),
            p90_ms=percentile(latencies, 0.90),
            p99_ms=percentile(latencies, 0.99),
            good=good,
            statuses=dict(sorted(self._statuses.items())),
            client_cpu_share=(time.process_time() - self._opened_cpu_s) / seconds,
        )

    def _count(self, status: str) -> None:
        self._statuses[status] += 1
        if self._statuses.total() >= self._cell.connections:
            self._each_answered.set()

    def _send(self, connection: Connection) -> None:
        request = next(self._requests)
        connection.sent_at = time.perf_counter()
        connection.send(request)

    def _answered(self, connection: Connection, answer: Answer) -> None:
        if connection.sent_at is None:
            return
        self._count(str(answer.status))
        if 200 <= answer.status < 300:
            self._latencies_ms.append((time.perf_counter() - connection.sent_at) * 1000)
        connection.sent_at = None
        if self._running and b"\r\nconnection: close" not in answer.head:
            self._send(connection)

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self._running:
            if connection.sent_at is not None:
                self._count("lost")
            self._open()

    def _open(self) -> None:
        task = asyncio.get_running_loop().create_task(self._connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while self._running:
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(self._answered, self._lost), self._target.host, self._target.port
                )
            except OSError:
                self._count("lost")
                await asyncio.sleep(_RECONNECT_S)
                continue
            self._connections.add(connection)
            self._send(connection)
            return

    async def _close(self) -> None:
        self._running = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self._connections:
            connection.abort()
        await asyncio.sleep(0)
