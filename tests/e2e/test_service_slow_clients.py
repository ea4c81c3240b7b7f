"""Clients that connect and dawdle, against the real protocol on loopback."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from app.api.gate import Gate
from app.api.server import PatientProtocol
from app.errors import QueueFull
from app.metrics import Metrics

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


class HastyProtocol(PatientProtocol):
    """As the service has it, but for tests that do not want to wait."""

    head_timeout_s: ClassVar[float] = 0.2


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0.5)
    await Response("here")(scope, receive, send)


def talk(conversation: Talk, full: Callable[[], QueueFull | None] = lambda: None) -> bytes:
    """What a client hears in a conversation with a server of the protocol; it may not last ten seconds."""

    async def run() -> bytes:
        gate = Gate(hopeless=full, in_flight=lambda: 0, metrics=Metrics(CollectorRegistry()))
        gate.open(asyncio.get_running_loop())
        config = uvicorn.Config(answer, http=HastyProtocol, ws="none", lifespan="off", log_config=None)
        config.load()
        server = await asyncio.get_running_loop().create_server(
            lambda: HastyProtocol(config, ServerState(), {}, gate=gate), "127.0.0.1", 0
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                return await asyncio.wait_for(conversation(reader, writer), 10)
            finally:
                gate.close()
                writer.close()
                await writer.wait_closed()

    return asyncio.run(run())


@pytest.mark.parametrize("said", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_client_that_never_ends_its_head_is_cut_off(said: bytes) -> None:
    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(said)
        return await reader.read()

    assert talk(dawdle) == b""


def test_a_request_may_take_longer_than_its_head() -> None:
    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return await reader.read()

    assert talk(ask).endswith(b"here")


def test_the_second_head_on_a_connection_has_a_time_limit_too() -> None:
    async def ask_and_dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        first = await reader.readuntil(b"here")
        writer.write(b"GET / HTTP/1.1\r\n")
        return first + await reader.read()

    assert talk(ask_and_dawdle).endswith(b"here")


POST = b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"


def refuse() -> QueueFull:
    """Every queue is full."""
    return QueueFull("full")


def test_a_refused_client_may_ask_again_on_its_connection() -> None:
    reasons = iter([QueueFull("full")])

    async def ask_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(POST + b"\r\nbo")
        await writer.drain()
        writer.write(b"dy")
        first = await reader.readuntil(b"}")
        assert first.startswith(b"HTTP/1.1 503 ")
        writer.write(POST + b"Connection: close\r\n\r\nbody")
        return await reader.read()

    # Full at the first look, and at none after that.
    second = talk(ask_twice, lambda: next(reasons, None))
    assert second.startswith(b"HTTP/1.1 200 ")
    assert second.endswith(b"here")


def test_requests_sent_at_once_are_refused_one_after_another() -> None:
    async def pipeline(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write((POST + b"\r\nbody") * 2 + POST + b"Connection: close\r\n\r\nbody")
        return await reader.read()

    said = talk(pipeline, refuse)
    assert said.count(b"HTTP/1.1 503 ") == 3
    assert said.count(b"connection: close") == 1


def test_a_refusal_does_not_overtake_an_answer() -> None:
    reasons, looked = iter([None]), asyncio.Event()

    def fill() -> QueueFull | None:
        reason = next(reasons, QueueFull("full"))
        if reason is not None:
            looked.set()
        return reason

    async def pipeline(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(POST + b"\r\nbody")
        await looked.wait()  # a fortieth of a second; the answer takes half a second
        writer.write(POST + b"Connection: close\r\n\r\nbody")
        return await reader.read()

    said = talk(pipeline, fill)
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.count(b"HTTP/1.1 200 ") == 2


def test_a_refused_client_that_never_ends_its_body_is_cut_off() -> None:
    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(POST + b"\r\nbo")
        return await reader.read()

    assert talk(dawdle, refuse) == b""
