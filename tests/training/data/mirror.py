"""A server of files on loopback that can be told to misbehave."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Mirror:
    """Serves `files` by path, with ranges.

    `stops_after` ends the connection after that many bytes of a body; `stalls` makes it fall silent there instead,
    until the mirror is closed. `ranges` can be taken away, `status` forced, `location` redirected to.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.stops_after: int | None = None
        self.stalls = False
        self.ranges = True
        self.range_offset = 0
        self.length = True
        self.status: int | None = None
        self.location: str | None = None
        self.asked: list[tuple[str, str | None]] = []
        self.closing = threading.Event()
        self.url = ""

    def reply(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one GET."""
        wanted = handler.headers.get("Range")
        self.asked.append((handler.path, wanted))
        body = self.files.get(handler.path.rpartition("/")[2])
        if self.status is not None or body is None:
            handler.send_response(self.status or 404)
            if self.location is not None:
                handler.send_header("Location", self.location)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        if start and start >= len(body):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start + self.range_offset}-{len(body) - 1}/{len(body)}")
        if self.length:
            handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        end = len(body) if self.stops_after is None else start + self.stops_after
        handler.wfile.write(body[start:end])
        handler.wfile.flush()
        if self.stalls:
            self.closing.wait()
        handler.close_connection = True


@contextmanager
def serve(mirror: Mirror) -> Iterator[Mirror]:
    """Run `mirror` on a free port of the loopback interface; its `url` says where."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.reply(self)

        def log_message(self, *_: Any) -> None:  # noqa: ANN401 -- the base class's signature
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mirror.url = f"http://127.0.0.1:{server.server_port}/sets"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield mirror
    finally:
        mirror.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
