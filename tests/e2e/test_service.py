"""The whole service as a process of its own, over real HTTP on loopback."""

import base64
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.bundles import write_bundle

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-c", "from app.cli import main; main()", "serve"]
ROOT = Path(__file__).parents[2]


class Running:
    """A `ganserve serve` process that has said where it listens."""

    def __init__(self, models: Path, **environ: str) -> None:
        self.process = subprocess.Popen(
            COMMAND,
            cwd=ROOT,
            env=environment(GANSERVE_MODELS=str(models), **environ),
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(60), self.lines
        found = re.search(r"http://127\.0\.0\.1:(\d+)/docs", "".join(self.lines))
        assert found, self.lines
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if "/images/" in line and "http" in line:
                self._ready.set()
        self._ready.set()

    def wait(self, timeout_s: float) -> int:
        return self.process.wait(timeout_s)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()


def environment(**changes: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GANSERVE_")}
    return clean | {"GANSERVE_PORT": "0", "GANSERVE_DEVICE": "cpu", "GANSERVE_THREADS": "1"} | changes


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Running] = []
    write_bundle(tmp_path / "models", height=32, width=32)

    def start(**environ: str) -> Running:
        started.append(Running(tmp_path / "models", **environ))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def generate(client: httpx.Client, url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    response = client.post(f"{url}/generate", json=body, timeout=60)
    assert response.status_code == 200, response.text
    images: list[dict[str, Any]] = response.json()["images"]
    return images


def test_the_same_seed_is_the_same_image_alone_in_a_batch_and_among_fifty_requests(start: Start) -> None:
    server = start()
    with httpx.Client() as client:
        alone = generate(client, server.url, {"seed": 42, "class_id": 1})[0]["data"]
        batch = generate(client, server.url, {"seeds": [*range(21), 42, *range(100, 142)], "class_id": 1})
        assert len(batch) == 64
        assert batch[21]["data"] == alone

        def ask(number: int) -> str:
            others = list(range(number * 10, number * 10 + number % 7))
            mixed = {"seeds": [*others, 42], "class_id": [*(seed % 3 for seed in others), 1]}
            return str(generate(client, server.url, mixed)[-1]["data"])

        with ThreadPoolExecutor(50) as pool:
            assert set(pool.map(ask, range(50))) == {alone}
        picture = client.get(f"{server.url}/images/tiny@1/42.png?class_id=1").content
        assert picture == base64.b64decode(alone)


@pytest.mark.parametrize(("playground", "first"), [("on", ["/"]), ("off", [])])
def test_ready_is_said_once_and_the_links_work(start: Start, playground: str, first: list[str]) -> None:
    server = start(GANSERVE_PLAYGROUND=playground)
    links = re.findall(r"http://\S+", "".join(server.lines))
    assert [link.removeprefix(server.url) for link in links] == [*first, "/docs", "/images/tiny/42.png"]
    for link in links:
        assert httpx.get(link).status_code == 200


def test_on_sigterm_readiness_flips_work_under_way_ends_and_the_process_leaves(start: Start) -> None:
    server = start(GANSERVE_DRAIN_TIMEOUT_S="10")
    body = b'{"seed": 42}'
    head = (
        f"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as uploading, httpx.Client() as client:
        uploading.sendall(head.encode() + body[:5])
        in_flight = 0.0
        while in_flight < 1:
            found = re.search(r"^gan_inflight_requests (\S+)$", client.get(f"{server.url}/metrics").text, re.MULTILINE)
            in_flight = float(found[1]) if found else 0.0
        server.process.send_signal(signal.SIGTERM)
        while (ready := client.get(f"{server.url}/readyz")).status_code == 200:
            pass
        assert ready.status_code == 503
        assert ready.json()["code"] == "draining"
        assert ready.headers["retry-after"]
        refused = client.post(f"{server.url}/generate", json={"seed": 1})
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        uploading.sendall(body[5:])
        answer = http.client.HTTPResponse(uploading)
        answer.begin()
        assert answer.status == 200
        assert json.loads(answer.read())["images"][0]["seed"] == 42
    assert server.wait(10) == 0


def test_a_stalled_upload_holds_up_the_end_no_longer_than_the_drain_timeout(start: Start) -> None:
    server = start(GANSERVE_DRAIN_TIMEOUT_S="3")
    with socket.create_connection(("127.0.0.1", server.port)) as stalled:
        stalled.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        with httpx.Client() as client:
            while "gan_inflight_requests 1.0" not in client.get(f"{server.url}/metrics").text:
                pass
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        answer = http.client.HTTPResponse(stalled)
        answer.begin()
        assert answer.status == 503
        assert json.loads(answer.read())["code"] == "draining"
        assert server.wait(10) == 0
        assert time.monotonic() - began < 3.5


def test_an_idle_service_leaves_at_once_whatever_connections_are_kept(start: Start) -> None:
    server = start(GANSERVE_DRAIN_TIMEOUT_S="20")
    with httpx.Client() as client:
        client.get(f"{server.url}/livez")
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
        assert time.monotonic() - began < 5


def test_sighup_serves_what_is_new_and_takes_back_what_has_gone(start: Start, tmp_path: Path) -> None:
    server = start()
    with httpx.Client() as client:
        folder = write_bundle(tmp_path / "models", version=2, height=32, width=32, seed=1)
        for default in ("tiny@2", "tiny@1"):
            if default == "tiny@1":
                folder.rename(folder.with_name(".2"))
            server.process.send_signal(signal.SIGHUP)
            while (found := client.get(f"{server.url}/models").json()["default"]) != default:
                assert found in {"tiny@1", "tiny@2"}
            assert client.get(f"{server.url}/readyz").status_code == 200
    assert server.process.poll() is None


def test_a_watched_folder_needs_no_signal(start: Start, tmp_path: Path) -> None:
    server = start(GANSERVE_WATCH_S="0.1")
    write_bundle(tmp_path / "staged", version=2).rename(tmp_path / "models" / "tiny" / "2")
    with httpx.Client() as client:
        while client.get(f"{server.url}/models").json()["default"] != "tiny@2":
            assert client.get(f"{server.url}/readyz").status_code == 200


def test_an_admin_route_open_to_the_network_is_fatal() -> None:
    code, lines, _ = refuse(GANSERVE_ADMIN="on", GANSERVE_HOST="0.0.0.0")  # noqa: S104 -- refused, not bound
    assert code != 0
    assert len(lines) == 1
    assert "GANSERVE_API_KEYS_FILE" in lines[0]


def test_metrics_have_a_port_of_their_own_when_asked_for(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = start(GANSERVE_METRICS_PORT=str(port))
    assert "gan_ready 1.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert httpx.get(f"{server.url}/metrics").status_code == 404


def test_log_lines_are_json_when_asked_for(tmp_path: Path) -> None:
    write_bundle(tmp_path / "models")
    server = Running(tmp_path / "models", GANSERVE_LOG_FORMAT="json", GANSERVE_ACCESS_LOG="on")
    try:
        httpx.get(f"{server.url}/livez")
        httpx.get(f"{server.url}/models", headers={"X-Request-Id": "look-for-me"})
        server.process.send_signal(signal.SIGTERM)
        server.wait(20)
    finally:
        server.stop()
    lines = [json.loads(line) for line in server.lines]
    assert any(line.get("request_id") == "look-for-me" and line["endpoint"] == "/models" for line in lines)


def refuse(*flags: str, **environ: str) -> tuple[int, list[str], float]:
    began = time.monotonic()
    done = subprocess.run(
        [*COMMAND, *flags],
        cwd=ROOT,
        env=environment(**environ),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert "Traceback" not in done.stderr
    return done.returncode, lines, time.monotonic() - began


def nvidia_is_here() -> bool:
    return Path("/dev/nvidiactl").exists()


@pytest.mark.skipif(nvidia_is_here(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused_within_ten_seconds_in_one_line(tmp_path: Path) -> None:
    write_bundle(tmp_path / "models")
    code, lines, seconds = refuse(GANSERVE_MODELS=str(tmp_path / "models"), GANSERVE_DEVICE="cuda")
    assert code != 0
    assert seconds < 10
    assert len(lines) == 1
    assert "cuda" in lines[0].lower()


def test_an_unknown_setting_is_fatal_and_the_right_name_is_suggested() -> None:
    code, lines, _ = refuse(GANSERVE_MAX_BATCHSIZE="8")
    assert code != 0
    assert lines == ["Error: GANSERVE_MAX_BATCHSIZE is not a setting; did you mean GANSERVE_MAX_BATCH_SIZE?"]


def test_a_wrong_value_is_fatal_whether_it_is_a_variable_or_a_flag() -> None:
    for found in (refuse(GANSERVE_MAX_PIXELS="many"), refuse("--max-pixels", "many")):
        assert found[0] != 0
        assert len(found[1]) == 1
        assert "GANSERVE_MAX_PIXELS" in found[1][0]


def test_a_folder_without_models_is_fatal(tmp_path: Path) -> None:
    code, lines, _ = refuse(GANSERVE_MODELS=str(tmp_path))
    assert code != 0
    assert len(lines) == 1
    assert str(tmp_path) in lines[0]


def test_a_port_that_is_taken_is_fatal(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, lines, _ = refuse(GANSERVE_PORT=str(taken.getsockname()[1]))
    assert code != 0
    assert len(lines) == 1
    assert "cannot listen" in lines[0]
