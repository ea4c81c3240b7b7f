"""The compose stack as a person would run it: built, brought up, used over HTTP, watched by Prometheus, taken down."""

import json
import os
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
UP_TIMEOUT_S = 240
SCRAPE_TIMEOUT_S = 60
IMAGES = 5
IMAGE_LIMIT_BYTES = 600_000_000

# Building may download the base image and every wheel.
pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Stack:
    """A running stack under a name of its own, on ports of its own."""

    project: str
    service_port: int
    prometheus_port: int

    def compose(self, *arguments: str, timeout_s: float = 120) -> str:
        """Run `docker compose` on this stack; raises CalledProcessError after showing what it printed."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GANSERVE_")},
            "SERVICE_PORT": str(self.service_port),
            "PROMETHEUS_PORT": str(self.prometheus_port),
        }
        return _run(
            "docker", "compose", "--project-name", self.project, *arguments, env=environment, timeout_s=timeout_s
        )

    def container(self, service: str) -> str:
        """The id of a service's container."""
        return self.compose("ps", "--all", "--quiet", service).strip()

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine says of a service's container."""
        (found,) = json.loads(_run("docker", "inspect", self.container(service)))
        return dict(found)

    def python(self, code: str) -> str:
        """What a line of Python prints in the service's container."""
        return self.compose("exec", "--no-TTY", "ganserve", "python", "-c", code).strip()

    def generate(self, body: dict[str, object], accept: str) -> bytes:
        """The body of the answer to POST /generate."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.service_port}/generate",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": accept},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- as above
            return bytes(answer.read())

    def prometheus(self, path: str) -> Any:  # noqa: ANN401 -- JSON
        """The `data` of an answer of Prometheus's HTTP API."""
        url = f"http://127.0.0.1:{self.prometheus_port}/api/v1/{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def samples(self, query: str) -> dict[str, float]:
        """The value of an instant query by the `model` label."""
        found = self.prometheus(f"query?query={query}")["result"]
        return {sample["metric"].get("model", ""): float(sample["value"][1]) for sample in found}


def _run(*command: str, env: dict[str, str] | None = None, timeout_s: float = 120) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:])  # noqa: T201 -- pytest shows it beside the failure
        done.check_returncode()
    return done.stdout


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _eventually(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether the condition comes true in time; Prometheus can only be polled."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.5)
    return False


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    running = Stack(f"ganserve-test-{uuid.uuid4().hex[:8]}", _free_port(), _free_port())
    try:
        running.compose("build", timeout_s=1200)
        try:
            running.compose(
                "up", "--detach", "--wait", "--wait-timeout", str(UP_TIMEOUT_S), timeout_s=UP_TIMEOUT_S + 60
            )
        except subprocess.CalledProcessError:
            print(running.compose("logs", "--no-color", "--tail", "50"))  # noqa: T201 -- as above
            raise
        yield running
    finally:
        running.compose("down", "--volumes", "--timeout", "30", "--remove-orphans")


def test_the_service_comes_up_healthy_without_a_gpu(stack: Stack) -> None:
    state = stack.inspect("ganserve")["State"]
    assert (state["Status"], state["Health"]["Status"]) == ("running", "healthy")


def test_prometheus_scrapes_the_service_and_counts_its_images(stack: Stack) -> None:
    def target_is_up() -> bool:
        targets = stack.prometheus("targets?state=active")["activeTargets"]
        return [target["health"] for target in targets] == ["up"]

    assert _eventually(target_is_up, SCRAPE_TIMEOUT_S)
    assert sum(stack.samples("gan_images_total").values()) == 0
    for seed in range(IMAGES):
        assert stack.generate({"seed": seed}, "image/png").startswith(b"\x89PNG")
    assert _eventually(lambda: sum(stack.samples("gan_images_total").values()) == IMAGES, SCRAPE_TIMEOUT_S)
    assert sum(stack.samples("gan_ready").values()) == 1


def test_the_image_of_a_seed_does_not_depend_on_its_company(stack: Stack) -> None:
    alone = json.loads(stack.generate({"seed": 42, "format": "npy"}, "application/json"))["images"]
    among = json.loads(stack.generate({"seeds": [1, 42, 2], "format": "npy"}, "application/json"))["images"]
    assert alone[0]["data"] == among[1]["data"] != among[0]["data"]


def test_the_service_is_not_root_and_cannot_write(stack: Stack) -> None:
    found = stack.inspect("ganserve")
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert any(option.startswith("no-new-privileges") for option in found["HostConfig"]["SecurityOpt"])
    status = stack.python("print(open('/proc/1/status').read())")
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    assert set(fields["Uid"].split()) == {"65532"}
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"
    for folder in ("/", "/models", "/opt/ganserve"):
        refused = stack.python(
            f"try: open('{folder}/written', 'w')\nexcept OSError as error: print(type(error).__name__, error.errno)"
        )
        assert refused in {"OSError 30", "PermissionError 13"}, refused


def test_the_image_holds_no_torch_no_trainer_and_no_pip(stack: Stack) -> None:
    found = stack.python(
        "from importlib.util import find_spec\n"
        "print([name for name in ('torch', 'training', 'onnx', 'tensorboard', 'pip') if find_spec(name)])"
    )
    assert found == "[]"


def test_onnx_runtime_calls_nobody(stack: Stack) -> None:
    assert stack.python("import os; print(os.environ['ORT_DISABLE_TELEMETRY'])") == "1"
    assert "telemetry" not in stack.compose("logs", "--no-color", "ganserve").lower()


def test_sigterm_ends_the_service_cleanly(stack: Stack) -> None:
    stack.compose("stop", "--timeout", "30", "ganserve")
    state = stack.inspect("ganserve")["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)


def test_the_image_stays_small(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    image = stack.inspect("ganserve")["Image"]
    size_bytes = int(_run("docker", "image", "inspect", "--format", "{{.Size}}", image))
    with capsys.disabled():
        print(f"\nimage size: {size_bytes / 1e6:.0f} MB")  # noqa: T201 -- the figure is wanted in the log
    assert size_bytes <= IMAGE_LIMIT_BYTES
