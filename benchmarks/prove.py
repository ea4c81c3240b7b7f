"""The proof that the load generator is not the bottleneck: its rate against a static route, beside wrk's."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.orders import generate, write_templates

CONNECTIONS = (1, 16, 64, 256)


@dataclass(frozen=True)
class Proof:
    """Requests a second against a route that costs next to nothing; the generator shares the cores with the server."""

    connections: int
    requests_per_s: float
    client_cpu_share: float
    errors: int
    wrk_requests_per_s: float | None


@contextmanager
def static_route() -> Iterator[int]:
    """The port of a static route in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.static_route"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    try:
        assert process.stdout is not None  # noqa: S101 -- it is a pipe
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def measure(*, seconds: float, connections: tuple[int, ...] = CONNECTIONS) -> list[Proof]:
    """Drive a static route with the very requests of the measurements."""
    proofs = []
    with static_route() as port, tempfile.TemporaryDirectory() as folder:
        templates = Path(folder) / "templates.json"
        write_templates(templates, [generate(1, "png")])
        for count in connections:
            process = load.spawn(port, templates, seconds=seconds, warm_up_s=0.2, connections=count)
            found = load.collect(process, timeout_s=seconds * 10 + 30)
            wrk = _wrk(port, count, seconds)
            proofs.append(Proof(count, found.requests_per_s, found.client_cpu_share, found.errors, wrk))
    return proofs


def _wrk(port: int, connections: int, seconds: float) -> float | None:
    program = shutil.which("wrk")
    if program is None:
        return None
    command = [program, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", f"http://127.0.0.1:{port}/"]
    found = re.search(
        r"Requests/sec:\s+([\d.]+)", subprocess.run(command, capture_output=True, text=True, check=False).stdout
    )
    return float(found[1]) if found else None


def report(proofs: list[Proof]) -> str:
    """A Markdown table."""
    lines = [
        "| connections | this generator, requests/s | its CPU | errors | wrk, requests/s |",
        "|---:|---:|---:|---:|---:|",
    ]
    for proof in proofs:
        wrk = "not installed" if proof.wrk_requests_per_s is None else f"{proof.wrk_requests_per_s:.0f}"
        ours = f"{proof.requests_per_s:.0f} | {proof.client_cpu_share:.0%} | {proof.errors}"
        lines.append(f"| {proof.connections} | {ours} | {wrk} |")
    return "\n".join(lines)
