"""The two ways to drive a server: closed loop, where who is answered asks again, and open loop, at a fixed rate."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from app.bench.http1 import Answer, Connection
from benchmarks.orders import Template
from benchmarks.tally import Summary, Tally

_RECONNECT_S = 0.05
_TICK_S = 0.1
_LONGEST = 6
"""A closed loop goes on until each connection was answered twice, but not beyond this many times its seconds."""


@dataclass(frozen=True)
class Target:
    """Where requests go, and what they are; templates take turns. `first_serial` is where their seeds begin."""

    port: int
    templates: list[Template]
    timeout_s: float = 60.0
    first_serial: int = 0
    host: str = "127.0.0.1"


class _Driver:
    # uvloop's own clock counts whole milliseconds, so time is perf_counter's here.

    def __init__(self, target: Target, *, keep_timeline: bool) -> None:
        self._target = target
        self._loop = asyncio.get_running_loop()
        self._tally = Tally(target.templates, keep_timeline=keep_timeline)
        self._requests = self._render()
        self._connections: set[Connection] = set()
        self._running = True
        self._tasks: set[asyncio.Task[None]] = set()

    def _render(self) -> Iterator[tuple[int, bytes]]:
        serial = self._target.first_serial
        while True:
            index = serial % len(self._target.templates)
            yield index, self._target.templates[index].render(serial)
            serial += 1

    def _dispatch(self, connection: Connection, due: float) -> None:
        connection.template, request = next(self._requests)
        connection.sent_at = due
        connection.send(request)

    def _answered(self, connection: Connection, answer: Answer) -> None:
        if connection.sent_at is not None:
            due, connection.sent_at = connection.sent_at, None
            self._tally.answer(connection.template, answer.status, answer.head, len(answer.body), due)
            if self._running:
                self._idle(connection)

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection.sent_at is not None and self._running:
            due, connection.sent_at = connection.sent_at, None
            self._tally.failure("lost", due)
        if self._running:
            self._replace()

    def _replace(self) -> None:
        """A connection is gone."""
        raise NotImplementedError

    def _idle(self, connection: Connection) -> None:
        raise NotImplementedError

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> Connection | None:
        """A new connection, or None when the server takes none."""
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._answered, self._lost), self._target.host, self._target.port
            )
        except OSError:
            return None
        self._connections.add(connection)
        return connection

    def _drop_late(self) -> None:
        late = time.perf_counter() - self._target.timeout_s
        for connection in list(self._connections):
            if connection.sent_at is not None and connection.sent_at < late:
                due, connection.sent_at = connection.sent_at, None
                self._tally.failure("timeout", due)
                connection.abort()

    def _close(self) -> None:
        self._running = False
        for task in self._tasks:
            task.cancel()
        for connection in list(self._connections):
            connection.abort()


class ClosedLoop(_Driver):
    """`connections` clients that each ask again as soon as they are answered."""

    def __init__(self, target: Target, *, connections: int, keep_timeline: bool = False) -> None:
        super().__init__(target, keep_timeline=keep_timeline)
        self._count = connections

    async def run(self, *, warm_up_s: float, seconds: float, requests: int | None = None) -> Summary:
        """Warm up, then measure for `seconds`, or until `requests` good answers are in where that is given.

        The window goes on until each connection was answered twice, within reason: slow models answer in bursts.
        """
        for _ in range(self._count):
            self._start(self._open())
        await self._wait(warm_up_s)
        self._tally.open_window()
        began = time.perf_counter()
        if requests is not None:
            while self._tally.good < requests and time.perf_counter() < began + seconds:
                await self._wait(_TICK_S)
        else:
            await self._wait(seconds)
            while self._tally.good < 2 * self._count and time.perf_counter() < began + _LONGEST * seconds:
                await self._wait(_TICK_S)
        found = self._tally.summary()
        self._close()
        return found

    async def _wait(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            await asyncio.sleep(min(left, 1.0))
            self._drop_late()

    def _idle(self, connection: Connection) -> None:
        self._dispatch(connection, time.perf_counter())

    async def _open(self) -> None:
        while self._running:
            due = time.perf_counter()
            connection = await self._connect()
            if connection is not None:
                self._idle(connection)
                return
            self._tally.failure("lost", due)
            await asyncio.sleep(_RECONNECT_S)

    def _replace(self) -> None:
        self._loop.call_later(_RECONNECT_S, lambda: self._start(self._open()) if self._running else None)


class OpenLoop(_Driver):
    """Requests that fall due at a fixed rate, whatever the server does; latency counts from when they were due."""

    def __init__(self, target: Target, *, rate_per_s: float, max_connections: int, keep_timeline: bool = False) -> None:
        super().__init__(target, keep_timeline=keep_timeline)
        self._rate_per_s, self._max = rate_per_s, max_connections
        self._free: list[Connection] = []
        self._waiting: deque[float] = deque()
        self._opening = 0

    async def run(self, *, warm_up_s: float, seconds: float) -> Summary:
        """Let requests fall due for `warm_up_s` and then for `seconds`, which is measured; wait for no stragglers."""
        began = time.perf_counter()
        opened, sent = False, 0
        while (now := time.perf_counter()) < began + warm_up_s + seconds:
            if not opened and now >= began + warm_up_s:
                self._tally.open_window()
                opened = True
            due_by_now = int((now - began) * self._rate_per_s) + 1
            for number in range(sent, due_by_now):
                self._due(began + number / self._rate_per_s)
            sent = due_by_now
            self._drop_late()
            await asyncio.sleep(max(0.001, began + sent / self._rate_per_s - time.perf_counter()))
        for due in self._waiting:
            self._tally.failure("unsent", due)
        found = self._tally.summary()
        self._close()
        return found

    def _due(self, due: float) -> None:
        if self._free:
            self._dispatch(self._free.pop(), due)
            return
        self._waiting.append(due)
        if self._opening < len(self._waiting) and self._opening + len(self._connections) < self._max:
            self._opening += 1
            self._start(self._open())

    def _idle(self, connection: Connection) -> None:
        if self._waiting:
            self._dispatch(connection, self._waiting.popleft())
        else:
            self._free.append(connection)

    def _lost(self, connection: Connection) -> None:
        if connection in self._free:
            self._free.remove(connection)
        super()._lost(connection)

    def _replace(self) -> None:
        """What falls due next opens another where it has to."""

    async def _open(self) -> None:
        connection = await self._connect()
        self._opening -= 1
        if connection is not None:
            self._idle(connection)
