"""A system as running processes: started, waited for, paused, measured, and gone at the end whatever happens."""

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.orders import Template
from benchmarks.processes import MARK, Tree
from benchmarks.systems import ROOT, System, Variant

_PATIENCE_S = 10.0
_SAMPLE_S = 0.5


class ServerError(RuntimeError):
    """A server did not come up; the message names its log."""


class Server:
    """A running server."""

    def __init__(
        self, system: System, variant: Variant, port: int, process: "subprocess.Popen[bytes]", mark: str
    ) -> None:
        self.system, self.variant, self.port = system, variant, port
        self.process = process
        self.tree = Tree(process.pid, mark)

    def pause(self) -> None:
        """Stop its processes, so that they cost nothing; nothing to do for one that cannot be paused."""
        if not self.system.exclusive:
            self.tree.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        if not self.system.exclusive:
            self.tree.signal(signal.SIGCONT)

    @contextmanager
    def memory_sampled(self) -> Iterator[None]:
        """Keep the tree's peak memory up to date meanwhile; the proportional figure is taken at the end alone."""
        done = threading.Event()

        def sample() -> None:
            while not done.wait(_SAMPLE_S):
                self.tree.sample_memory()

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self.tree.sample_memory()
            self.tree.sample_shared_memory()


@contextmanager
def running(
    system: System, variant: Variant, bundle: Path, *, probe: Template, logs: Path, flags: tuple[str, ...] = ()
) -> Iterator[Server]:
    """A server that answers `probe` well on a free port of loopback. Raises ServerError when it never does."""
    port, mark = free_port(), uuid.uuid4().hex
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{system.name}-{mark[:8]}.log"
    environment = system.environment(variant, bundle, port) | {MARK: mark}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*system.command(variant, bundle, port), *flags],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    server = Server(system, variant, port, process, mark)
    try:
        _wait(server, probe, log)
        yield server
    finally:
        server.tree.end(patience_s=_PATIENCE_S)
        process.wait()


def _wait(server: Server, probe: Template, log: Path) -> None:
    deadline = time.monotonic() + server.system.ready_timeout_s
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise ServerError(f"{server.system.name} left with {server.process.returncode}; see {_short(log)}")
        try:
            status, _ = ask(server.port, probe, serial=0, timeout_s=10.0)
            if status == probe.good:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise ServerError(f"{server.system.name} was not ready in {server.system.ready_timeout_s:g} s; see {_short(log)}")


def _short(path: Path) -> str:
    return os.path.relpath(path, ROOT)


def ask(port: int, template: Template, *, serial: int, timeout_s: float) -> tuple[int, bytes]:
    """Status and body of one request. Raises OSError when there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        head, _, body = template.render(serial).partition(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        connection.request(template.method, path, body=body or None, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from None
    finally:
        connection.close()


def free_port() -> int:
    """A port of loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
