"""The service as a process of its own on a free port of loopback, gone at the end whatever happens."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from app.errors import StartupError
from app.settings import variable

HOST = "127.0.0.1"
_COMMAND = (sys.executable, "-P", "-c", "from app.cli import main; main(prog_name='ganserve')", "serve")
_NOT_FOR_LOOPBACK = ("api_keys_file", "admin", "rate_limit_per_s", "metrics_port")
"""Settings about strangers, of no use to a service that nobody else knows; a second port could be taken, too."""
_LOOK_S = 0.02
_LEAVE_S = 5.0

_running: set["subprocess.Popen[bytes]"] = set()
"""The services that a signal must not leave behind."""


@dataclass(frozen=True)
class Served:
    """A service that is ready: its port, how long it took, and where its models run."""

    port: int
    start_s: float
    providers: frozenset[str]


@contextmanager
def serve(environ: Mapping[str, str], *, ready_timeout_s: float = 600.0) -> Iterator[Served]:
    """A `ganserve serve` of its own under the settings in `environ`, but for its address and what keeps strangers out.

    Raises StartupError with the one line that the service ended with, or when it is not ready in time.
    """
    port, began = _free_port(), time.monotonic()
    own = {variable("host"): HOST, variable("port"): str(port)} | dict.fromkeys(map(variable, _NOT_FOR_LOOPBACK), "")
    # A file, not a pipe: reading a line for each request would be work for whoever measures.
    with tempfile.TemporaryFile() as log, _process({**environ, **own}, log) as process:
        while (providers := _providers(port)) is None:
            if process.poll() is not None:
                raise StartupError(_last_words(log))
            if time.monotonic() - began > ready_timeout_s:
                raise StartupError(f"the service was not ready in {ready_timeout_s:g} s")
            time.sleep(_LOOK_S)
        yield Served(port, time.monotonic() - began, providers)
        if process.poll() is not None:
            raise StartupError(f"the service ended while it was measured: {_last_words(log)}")


def require_reachable(host: str, port: int) -> None:
    """Raises StartupError unless somebody listens there."""
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError as error:
        raise StartupError(f"cannot reach {host} port {port}: {error.strerror or error}") from None


@contextmanager
def _process(environ: Mapping[str, str], log: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    # In a session of its own, Ctrl-C does not reach it: it is ended here, and nowhere else.
    process = subprocess.Popen(  # noqa: S603 -- this interpreter and this package
        _COMMAND, env=dict(environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    _running.add(process)
    try:
        yield process
    finally:
        _end(process)
        _running.discard(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.terminate()
        process.wait(_LEAVE_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait()


def _providers(port: int) -> frozenset[str] | None:
    """Where the models run, once the service is ready."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read()
        return frozenset(one["provider"] for one in json.loads(body)["models"]) if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _last_words(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
    lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    said = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return (said or lines or ["the service ended without a word"])[-1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within, Ctrl-C, SIGTERM and SIGHUP end the services that were started here, and then this process."""

    def leave(number: int, _: object) -> None:
        # No exception: raised from within an event loop that starts or stops, it would not come through whole.
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        for process in _running:
            _end(process)
        sys.stderr.write("Aborted!\n")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
