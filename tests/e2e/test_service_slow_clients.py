"""Clients that connect and dawdle, against the real protocol on loopback."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from app.api.server import PatientProtocol

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


class HastyProtocol(PatientProtocol):
    """As the service has it, but for tests that do not want to wait."""

    head_timeout_s: ClassVar[float] = 0.2


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0.5)
    await Response("here")(scope, receive, send)


def talk(conversation: Talk) -> bytes:
    """What a client hears in a conversation with a server of the protocol; it may not last ten seconds."""

    async def run() -> bytes:
        config = uvicorn.Config(answer, http=HastyProtocol, ws="none", lifespan="off", log_config=None)
        config.load()
        server = await asyncio.get_running_loop().create_server(
            lambda: HastyProtocol(config, ServerState(), {}), "127.0.0.1", 0
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                return await asyncio.wait_for(conversation(reader, writer), 10)
            finally:
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
