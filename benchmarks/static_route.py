"""The cheapest HTTP server there is: the same small answer to every request. The load generator is held to it."""

import asyncio
import sys
from typing import cast

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 300\r\n\r\n" + bytes(300)
_HEAD_END = b"\r\n\r\n"


class StaticRoute(asyncio.Protocol):
    """Answers each request head that arrives; a body that comes along is taken for what it is: not a head."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by descent

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._transport.write(_ANSWER * data.count(_HEAD_END))


async def serve() -> None:
    """Listen on a free port of loopback, print the port, and serve until killed."""
    server = await asyncio.get_running_loop().create_server(StaticRoute, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve on the fastest event loop there is."""
    try:
        import uvloop  # noqa: PLC0415 -- not on every platform
    except ImportError:
        sys.exit(asyncio.run(serve()))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main()
