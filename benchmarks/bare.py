"""The limit: the bare ONNX session in a process of its own, alone and with encoding: `python -m benchmarks.bare`."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from app.engines.cuda import CUDA, CUDA_OPTIONS
from benchmarks.orders import FIRST_SEED
from benchmarks.peers.work import Pixels, Work, encode
from benchmarks.systems import ROOT

BATCHES = (1, 4, 16, 64)


@dataclass(frozen=True)
class Limit:
    """Images a second of one way to run the session; `image_format` "none" is the session alone, inputs at hand."""

    threads: int
    batch: int
    image_format: str
    images_per_s: float


def measure(
    work: Work, *, threads: int, encoders: int, seconds: float, batches: Sequence[int], formats: Sequence[str]
) -> list[Limit]:
    """Every batch size, alone and with each format.

    Encoding runs on `encoders` threads while the session makes the next batch; seeds are drawn anew for each batch
    there, since that is part of the work. There is no HTTP, no JSON and no client.
    """
    found = []
    for batch in batches:
        inputs = work.inputs(range(FIRST_SEED, FIRST_SEED + batch))
        found.append(Limit(threads, batch, "none", _rate(lambda inputs=inputs: work.run(inputs), batch, seconds)))  # type: ignore[misc]  # mypy cannot infer a lambda's default
        for image_format in formats:
            with ThreadPoolExecutor(encoders) as pool:
                step = _with_encoding(work, batch, image_format, pool, encoders)
                found.append(Limit(threads, batch, image_format, _rate(step, batch, seconds)))
    return found


def _with_encoding(
    work: Work, batch: int, image_format: str, pool: ThreadPoolExecutor, encoders: int
) -> Callable[[], object]:
    pending: list[object] = []
    seed = FIRST_SEED

    def step() -> None:
        nonlocal seed
        rows = work.run(work.inputs(range(seed, seed + batch)))
        seed += batch
        for future in pending:
            future.result()  # type: ignore[attr-defined]  # futures, all of them
        pending.clear()
        pending.extend(pool.submit(_encode_all, part, image_format) for part in np.array_split(rows, encoders))

    return step


def _encode_all(rows: Pixels, image_format: str) -> None:
    if image_format == "npy":
        rows.tobytes()
        return
    for row in rows:
        encode(row, image_format)


def _rate(step: Callable[[], object], batch: int, seconds: float) -> float:
    step()
    done, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds or done < 2:
        step()
        done += 1
    return done * batch / max(elapsed, 1e-9)


def spawn(
    bundle: Path,
    *,
    threads: int,
    encoders: int,
    seconds: float,
    batches: Sequence[int],
    provider: str = "CPUExecutionProvider",
) -> list[Limit]:
    """The same in a fresh process. Raises CalledProcessError when it fails."""
    words = ["--bundle", bundle, "--threads", threads, "--encoders", encoders, "--seconds", seconds, "--json"]
    words += ["--provider", provider]
    command = [sys.executable, "-m", "benchmarks.bare", *map(str, words), "--batches", *map(str, batches)]
    out = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [Limit(**entry) for entry in json.loads(out)]


def best(limits: Sequence[Limit], image_format: str) -> Limit:
    """The fastest of a format. Raises ValueError when it was not measured."""
    return max((limit for limit in limits if limit.image_format == image_format), key=lambda limit: limit.images_per_s)


def _load(bundle: Path, threads: int, provider: str) -> Work:
    """The session, on CUDA with the service's own options: the comparison is of what is around it."""
    if provider != CUDA:
        return Work(bundle, threads=threads, provider=provider)
    with suppress(Exception):  # the session, or its absence, says what is missing
        onnxruntime.preload_dlls()
    return Work(bundle, threads=threads, provider=provider, provider_options=CUDA_OPTIONS)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of a bundle")
    parser.add_argument("--threads", type=int, default=1, help="of the session (%(default)s)")
    parser.add_argument("--encoders", type=int, default=1, help="threads that encode (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure (%(default)s)")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--provider", default="CPUExecutionProvider")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args(arguments)
    work = _load(chosen.bundle, chosen.threads, chosen.provider)
    if work.session.get_providers()[0] != chosen.provider:
        parser.error(f"the session runs on {work.session.get_providers()[0]}")
    limits = measure(
        work,
        threads=chosen.threads,
        encoders=chosen.encoders,
        seconds=chosen.seconds,
        batches=chosen.batches,
        formats=["png", "jpeg", "npy"],
    )
    if chosen.json:
        print(json.dumps([asdict(limit) for limit in limits]))
        return
    for limit in limits:
        print(f"batch {limit.batch:3}  {limit.image_format:5} {limit.images_per_s:10.1f} images/s")


if __name__ == "__main__":
    main()
