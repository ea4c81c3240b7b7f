"""The least HTTP/1.1 that a load generator needs: keep-alive connections that send bytes and tell of answers."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, cast

_HEAD_END = b"\r\n\r\n"


class Answer(NamedTuple):
    """One response. `head` is the status line and the headers, lower-cased."""

    status: int
    head: bytes
    body: bytes


class ResponseParser:
    """Bytes in, answers out, for Content-Length and chunked bodies; one request at a time, so no pipelining."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head = b""
        self._body = bytearray()
        self._length: int | None = None  # None: chunked
        self._at = 0

    def feed(self, data: bytes) -> Answer | None:
        """The answer that `data` completes, if it does. Raises ValueError for what is no HTTP response."""
        self._buffer += data
        if not self._head and not self._read_head():
            return None
        if self._length is None:
            return self._finish(bytes(self._body)) if self._read_chunks() else None
        if len(self._buffer) < self._length:
            return None
        return self._finish(bytes(self._buffer[: self._length]))

    def _read_head(self) -> bool:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return False
        self._head = bytes(self._buffer[:end]).lower()
        del self._buffer[: end + len(_HEAD_END)]
        if not self._head.startswith(b"http/1."):
            raise ValueError("not an HTTP/1 response")
        self._length = None if b"\r\ntransfer-encoding: chunked" in self._head else self._stated_length()
        return True

    def _stated_length(self) -> int:
        for line in self._head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name == b"content-length":
                return int(value)
        if self._head[9:12] in {b"204", b"304"}:
            return 0
        raise ValueError("a response without a length")

    def _read_chunks(self) -> bool:
        while True:
            line_end = self._buffer.find(b"\r\n", self._at)
            if line_end < 0:
                return False
            size = int(self._buffer[self._at : line_end].split(b";")[0], 16)
            begin, end = line_end + 2, line_end + 2 + size
            if len(self._buffer) < end + 2:
                return False
            self._body += self._buffer[begin:end]
            self._at = end + 2
            if size == 0:
                return True

    def _finish(self, body: bytes) -> Answer:
        answer = Answer(int(self._head[9:12]), self._head, body)
        self.__init__()  # type: ignore[misc]  # the next response begins with nothing
        return answer


class Connection(asyncio.Protocol):
    """One keep-alive connection. `on_answer` hears each answer, `on_lost` once that it is gone."""

    def __init__(
        self, on_answer: Callable[["Connection", Answer], None], on_lost: Callable[["Connection"], None]
    ) -> None:
        self._on_answer, self._on_lost = on_answer, on_lost
        self._parser = ResponseParser()
        self._transport: asyncio.Transport | None = None
        self.sent_at: float | None = None
        """When the request that waits for its answer was due; None while idle."""
        self.template = 0
        """Which kind of request that is, where a load generator sends several kinds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by descent

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        try:
            answer = self._parser.feed(data)
        except ValueError:
            self.abort()
            return
        if answer is not None:
            self._on_answer(self, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        self._on_lost(self)

    def send(self, request: bytes) -> None:
        """Send one request; its answer comes before the next."""
        if self._transport is not None:
            self._transport.write(request)

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()
