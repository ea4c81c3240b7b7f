"""The load generator, a process of its own: `python -m benchmarks.load --help`."""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from benchmarks import prove
from benchmarks.drivers import ClosedLoop, OpenLoop, Target
from benchmarks.orders import Template, generate, read_templates
from benchmarks.tally import Summary


def drive(work: Coroutine[Any, Any, Summary]) -> Summary:
    """Run a driver's coroutine on the fastest event loop there is."""
    try:
        import uvloop  # noqa: PLC0415 -- not on every platform
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def spawn(
    port: int,
    templates: Path,
    *,
    seconds: float,
    warm_up_s: float,
    connections: int,
    rate_per_s: float | None = None,
    requests: int | None = None,
    first_serial: int = 0,
    timeout_s: float = 60.0,
    timeline: bool = False,
) -> "subprocess.Popen[str]":
    """A load generator in a process of its own, on the templates in a file; `collect` waits for it."""
    words = ["--port", port, "--templates", templates, "--seconds", seconds, "--warm-up-s", warm_up_s]
    words += ["--connections", connections, "--first-serial", first_serial, "--timeout-s", timeout_s]
    words += [] if rate_per_s is None else ["--rate", rate_per_s]
    words += [] if requests is None else ["--requests", requests]
    words += ["--timeline"] if timeline else []
    command = [sys.executable, "-m", "benchmarks.load", "--json", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])


def collect(process: "subprocess.Popen[str]", *, timeout_s: float) -> Summary:
    """What a spawned load generator found. Raises RuntimeError when it failed."""
    try:
        out, _ = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
    if process.returncode != 0:
        raise RuntimeError(f"the load generator left with {process.returncode}")
    return Summary(**json.loads(out))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--prove", action="store_true", help="measure this generator itself against a static route")
    parser.add_argument("--port", type=int, default=8000, help="where the server listens on 127.0.0.1 (%(default)s)")
    parser.add_argument("--connections", type=int, default=16, help="clients; in an open loop at most so many")
    parser.add_argument("--images", type=int, default=1, help="images a request")
    parser.add_argument("--format", choices=["png", "jpeg", "npy"], default="png")
    parser.add_argument("--templates", type=Path, help="JSON file of requests instead of --images and --format")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to measure; with --requests at most")
    parser.add_argument("--warm-up-s", type=float, default=0.5)
    parser.add_argument("--requests", type=int, help="end after so many good answers")
    parser.add_argument("--rate", type=float, help="open loop at so many requests a second")
    parser.add_argument("--first-serial", type=int, default=0, help="number of the first request; it decides the seeds")
    parser.add_argument("--timeout-s", type=float, default=60.0, help="of one request")
    parser.add_argument("--timeline", action="store_true", help="keep every single answer")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args(arguments)
    if chosen.prove:
        print(prove.report(prove.measure(seconds=chosen.seconds)))
        return
    templates = read_templates(chosen.templates) if chosen.templates else [generate(chosen.images, chosen.format)]
    found = drive(_run(chosen, templates))
    print(json.dumps(found.as_json()) if chosen.json else text(found))


async def _run(chosen: argparse.Namespace, templates: list[Template]) -> Summary:
    target = Target(chosen.port, templates, chosen.timeout_s, chosen.first_serial)
    if chosen.rate is not None:
        loop = OpenLoop(
            target, rate_per_s=chosen.rate, max_connections=chosen.connections, keep_timeline=chosen.timeline
        )
        return await loop.run(warm_up_s=chosen.warm_up_s, seconds=chosen.seconds)
    closed = ClosedLoop(target, connections=chosen.connections, keep_timeline=chosen.timeline)
    return await closed.run(warm_up_s=chosen.warm_up_s, seconds=chosen.seconds, requests=chosen.requests)


def text(found: Summary) -> str:
    """A summary in a few lines."""
    return (
        f"{found.requests_per_s:.0f} requests/s, {found.images_per_s:.0f} images/s over {found.seconds:.1f} s\n"
        f"p50 {found.p50_ms:.2f} ms, p99 {found.p99_ms:.2f} ms, longest {found.max_ms:.2f} ms\n"
        f"{found.good} good, {found.errors} others; {found.statuses}\n"
        f"the client used {found.client_cpu_share:.0%} of one core"
    )


if __name__ == "__main__":
    main()
