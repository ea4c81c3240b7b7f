"""Where the time of one `POST /generate` goes: `python -m benchmarks.profile --help`."""

import argparse
import asyncio
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message

from app import imaging
from app.api import answers, strict_json
from app.api.schemas import GenerateRequest, validate
from app.api.service import Service
from app.engines.feeds import generator_inputs
from app.engines.onnx import open_engine
from app.generation import GenerateOrder, generate
from app.main import create_app
from app.settings import Settings
from benchmarks import load, machine, servers
from benchmarks.orders import generate as order_of
from benchmarks.orders import write_templates
from benchmarks.service import SCRATCH
from benchmarks.statistics import median
from benchmarks.systems import OURS, PEER_BIN, ROOT, one_model_folder, systems
from bundle import classes_of, read_bundle, sample_latents

_SAMPLES_PER_S = 250
_WAITING = re.compile(r";(_worker|(Condition\.)?wait) \([^;]*\)$")
"""A thread of a pool, or the batcher's, that waits for work; the event loop waits in C, unseen."""


@dataclass(frozen=True)
class Span:
    """A part of the request and the median microseconds that it takes, measured on its own, without a profiler."""

    name: str
    microseconds: float


async def spans(bundle: Path, *, rounds: int) -> list[Span]:
    """Time each part of one PNG request in this process, all parts in turn, `rounds` times."""
    settings = Settings.from_environment({}, models=bundle.parents[1], device="cpu")
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        service: Service = app.state.service
        await service.lifecycle.until_loaded()
        parts = _parts(app, service, bundle)
        took: dict[str, list[float]] = {name: [] for name in parts}
        for number in range(rounds + 10):
            for name, part in parts.items():
                began = time.perf_counter()
                await part()
                if number >= 10:
                    took[name].append((time.perf_counter() - began) * 1e6)
        return [Span(name, median(values)) for name, values in took.items()]


def _parts(app: ASGIApp, service: Service, bundle: Path) -> dict[str, Callable[[], Awaitable[object]]]:
    found, model = read_bundle(bundle), service.registry.get(None)
    manifest, seeds = found.manifest, [1_000_000_007]
    engine = open_engine(found.generator, device="cpu", threads=0)
    z = sample_latents(manifest.latent, seeds)
    count = len(manifest.classes or ())
    inputs = generator_inputs(manifest, z, classes_of(z, count) if count else None, 1.0)
    order = GenerateOrder(model, seeds, None)
    request = order_of(1, "png").render(7)
    body = request.partition(b"\r\n\r\n")[2]
    psi = 1.0 if manifest.truncation.supported else None
    how = answers.Presentation("image/png", "png", 90, as_grid=False, with_latents=False, truncation=psi, judged=False)
    text = {"model": model.label, "digest": model.digest, "seed": "1000000007", "class_id": "1", "truncation": "1.0"}
    pixels = engine.run(inputs)["image"][0]

    async def of(work: Callable[[], object]) -> object:
        return work()

    async def composed() -> object:
        return answers.compose("id", model, generation, how)

    generation: Any = None

    async def generated() -> object:
        nonlocal generation
        generation = await generate(order, deadline=None)
        return generation

    return {
        "the whole request, through the ASGI app": lambda: _call(app, body),
        "  body to GenerateRequest (JSON, validation)": lambda: of(
            lambda: validate(GenerateRequest, strict_json.parse(body), max_images=256)
        ),
        "  generation.generate (z, queue, session)": generated,
        "    z of the seed": lambda: of(lambda: sample_latents(manifest.latent, seeds)),
        "    class of z": lambda: of(lambda: classes_of(z, max(1, count))),
        "    batcher.submit (queue, session, two thread hops)": lambda: model.generator.submit(inputs, deadline=None),
        "      engine.run (the session)": lambda: of(lambda: engine.run(inputs)),
        "  answers.compose (PNG with text, headers)": composed,
        "    imaging.encode with text": lambda: of(lambda: imaging.encode(pixels, "png", quality=90, text=text)),
        "    imaging.encode without text": lambda: of(lambda: imaging.encode(pixels, "png", quality=90)),
        "  a hop to a worker thread and back": lambda: service.workers.run(lambda: None),
        "GET /livez through the ASGI app (routing, middleware)": lambda: _call(app, b"", method="GET", path="/livez"),
    }


async def _call(app: ASGIApp, body: bytes, *, method: str = "POST", path: str = "/generate") -> None:
    """One request, as uvicorn would hand it over. Raises RuntimeError for an answer other than 200."""
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"accept", b"image/png")]
    headers += [(b"content-length", str(len(body)).encode())] if body else []
    scope: dict[str, object] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    sent, status = False, 0

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()  # the client stays
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(scope, receive, send)
    if status != 200:
        raise RuntimeError(f"{method} {path} answered {status}")


@dataclass(frozen=True)
class Place:
    """Where samples of the running server fell: the thread and the deepest function of the project in the stack."""

    thread: str
    function: str
    share: float
    microseconds_per_request: float


def folded(lines: Sequence[str], *, requests_per_s: float, samples_per_s: float, seconds: float) -> list[Place]:
    """py-spy's raw output, `frame;frame;... count`, added up by place, most time first.

    A sample stands for 1 / `samples_per_s` of thread time. Threads that wait for work are left out.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        if stack and count.isdigit() and not _WAITING.search(stack):
            counts[_place(stack.split(";"))] += int(count)
    total = max(1, sum(counts.values()))
    each = 1e6 / samples_per_s / max(requests_per_s * seconds, 1e-9)
    return [Place(*where, count / total, count * each) for where, count in counts.most_common()]


def _place(frames: Sequence[str]) -> tuple[str, str]:
    thread = next((frame for frame in frames if frame.startswith("thread ")), "main")
    frames = [re.sub(r":\d+\)$", ")", frame) for frame in frames]
    ours = [frame for frame in frames if "(app/" in frame or "(bundle/" in frame]
    leaf = frames[-1].split(" (")[0]
    if not ours:
        return _role(thread), f"{leaf} (outside the project)"
    inner = ours[-1]
    return _role(thread), inner if inner == frames[-1] else f"{inner} > {leaf}"


def _role(thread: str) -> str:
    return thread.partition(": ")[2].strip('"').rstrip("0123456789_") or thread


def sampled(bundle: Path, *, connections: int, seconds: float, py_spy: Path) -> tuple[list[Place], float]:
    """Sample `ganserve serve` from outside under load: places, and the requests/s meanwhile."""
    system, probe = systems(machine.cores())[OURS], order_of(1, "png")
    templates = SCRATCH / "profile.json"
    write_templates(templates, [probe])
    with (
        tempfile.TemporaryDirectory() as folder,
        servers.running(system, system.variants[0], bundle, probe=probe, logs=SCRATCH / "logs") as server,
    ):
        raw = Path(folder) / "stacks.txt"
        driver = load.spawn(server.port, templates, seconds=seconds + 1.0, warm_up_s=0.5, connections=connections)
        words = ["record", "--threads", "-r", str(_SAMPLES_PER_S), "-d", str(max(1, round(seconds))), "-f", "raw"]
        command = [str(py_spy), *words, "-o", str(raw), "-p", str(server.process.pid)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = load.collect(driver, timeout_s=10 * seconds + 60)
        if not raw.exists():
            raise RuntimeError(f"py-spy failed: {done.stderr.strip()[-300:]}")
        lines = raw.read_text("utf-8").splitlines()
    rate = found.requests_per_s
    return folded(lines, requests_per_s=rate, samples_per_s=_SAMPLES_PER_S, seconds=max(1, round(seconds))), rate


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that everything works; measures nothing")
    parser.add_argument("--mnist", default=ROOT / "models" / "mnist" / "1", type=Path, help="folder of the bundle")
    parser.add_argument("--rounds", type=int, default=2000, help="of each part (%(default)s)")
    parser.add_argument("--connections", type=int, default=64, help="for the sampled server (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of sampling (%(default)g)")
    parser.add_argument("--py-spy", type=Path, default=PEER_BIN / "py-spy", help="where the sampler is")
    parser.add_argument("--top", type=int, default=30, help="places to print (%(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.rounds, chosen.seconds = 20, 1.0
    bundle = one_model_folder(chosen.mnist, SCRATCH)
    print("| part of one request, alone on an idle service | median, us |\n|---|---:|")
    for span in asyncio.run(spans(bundle, rounds=chosen.rounds)):
        print(f"| {span.name.replace('  ', '&nbsp;&nbsp;')} | {span.microseconds:.0f} |")
    if not chosen.py_spy.exists():
        print("\nNo py-spy, so no samples of the server under load: `make bench` installs it.")
        return
    places, rate = sampled(bundle, connections=chosen.connections, seconds=chosen.seconds, py_spy=chosen.py_spy)
    print(f"\n`ganserve serve` under {chosen.connections} connections, sampled from outside, {rate:.0f} requests/s\n")
    print("| thread | where | share | us a request |\n|---|---|---:|---:|")
    for place in places[: chosen.top]:
        cells = (place.thread, place.function, f"{place.share:.1%}", f"{place.microseconds_per_request:.0f}")
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
