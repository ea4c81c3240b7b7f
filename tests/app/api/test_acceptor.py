"""The acceptor, on a real listening socket."""

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from app.api.acceptor import Acceptor


class Greeter(asyncio.Protocol):
    """Says hello and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.setblocking(False)  # noqa: FBT003 -- it has no name
        yield listener


def test_all_who_have_come_are_accepted(listener: socket.socket) -> None:
    clients = [socket.create_connection(listener.getsockname(), timeout=10) for _ in range(300)]

    async def greet() -> list[bytes]:
        acceptor = Acceptor(asyncio.get_running_loop(), listener, Greeter)
        acceptor.start()
        try:
            return [await asyncio.to_thread(client.recv, 16) for client in clients]
        finally:
            acceptor.close()

    try:
        assert asyncio.run(greet()) == [b"hello"] * 300
    finally:
        for client in clients:
            client.close()


def test_nobody_is_accepted_once_it_is_closed(listener: socket.socket) -> None:
    async def come_late() -> None:
        loop = asyncio.get_running_loop()
        acceptor = Acceptor(loop, listener, Greeter)
        acceptor.start()
        acceptor.close()
        with socket.create_connection(listener.getsockname(), timeout=10) as client:
            client.setblocking(False)  # noqa: FBT003 -- it has no name
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.sock_recv(client, 16), 0.1)

    asyncio.run(come_late())


class Exhausted:
    """A listening socket of a process that, once, has no file descriptor left."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.refused = 0

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        if not self.refused:
            self.refused += 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()


def test_out_of_descriptors_it_pauses_and_goes_on(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.api.acceptor._PAUSE_S", 0.05)
    exhausted = Exhausted(listener)

    async def greet() -> bytes:
        acceptor = Acceptor(asyncio.get_running_loop(), exhausted, Greeter)  # type: ignore[arg-type]  # has what it takes
        acceptor.start()
        try:
            with socket.create_connection(listener.getsockname(), timeout=10) as client:
                return await asyncio.to_thread(client.recv, 16)
        finally:
            acceptor.close()

    assert asyncio.run(greet()) == b"hello"
    assert exhausted.refused == 1
    assert "cannot accept a connection: Too many open files" in caplog.text
