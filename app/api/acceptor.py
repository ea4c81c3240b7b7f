"""Takes connections off a listening socket, as many at a time as have come."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 256
_PAUSE_S = 1.0
_OUT_OF_THEM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """Accepts on `listener`, a listening socket that does not block, and gives each connection a protocol.

    uvloop's own servers accept one connection a turn of the loop. Under load a turn takes tens of milliseconds, so that
    a thousand new clients, and probes among them, would wait for a minute.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listener: socket.socket, protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._protocol = protocol
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept from now on."""
        self._timer = None
        self._loop.add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Accept no more; the listening socket stays the caller's."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._listener)

    def _accept(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF_THEM:
                    raise
                # It stays readable: without a pause this would be all that the loop does.
                logger.error("cannot accept a connection: %s", error.strerror)
                self._loop.remove_reader(self._listener)
                self._timer = self._loop.call_later(_PAUSE_S, self.start)
                return
            connection.setblocking(False)  # noqa: FBT003 -- it has no name
            task = self._loop.create_task(self._welcome(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _welcome(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError as error:  # it has gone already
            logger.debug("a connection was lost before its first byte: %s", error)
            connection.close()
