"""A real HTTP server on loopback that answers as a test says, and remembers what it was asked."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """One answer; a status of None closes the connection without a word."""

    status: int | None = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    released: threading.Event | None = None  # what the answer waits for


@dataclass(frozen=True)
class Heard:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Scripted:
    """The server: its address, and what it heard."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.heard: list[Heard] = []


@contextmanager
def scripted(answers: Sequence[Answer]) -> Iterator[Scripted]:
    """A server that gives these answers in turn, and the last of them for ever."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script = answers[min(len(server.heard), len(answers) - 1)]
            server.heard.append(Heard(self.command, self.path, dict(self.headers.items()), body))
            if script.released is not None:
                script.released.wait(30)
            if script.status is None:
                self.close_connection = True
                return
            self.send_response_only(script.status)
            for name, value in {**script.headers, "Content-Length": str(len(script.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(script.body)

        do_GET = answer  # noqa: N815 -- the framework's name
        do_POST = answer  # noqa: N815 -- as above

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- as above
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server = Scripted(f"http://127.0.0.1:{listener.server_port}")
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()
