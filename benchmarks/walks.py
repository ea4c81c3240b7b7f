"""A loop of 120 frames in one request: how long it takes, how large it is, and whether it closes:
`python -m benchmarks.walks --help`.
"""

import argparse
import http.client
import io
import itertools
import json
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import machine, servers
from benchmarks.orders import generate
from benchmarks.service import SCRATCH, say
from benchmarks.systems import OURS, ROOT, systems

_LOOP = {"seeds": [1, 2, 3, 4], "class_id": 3, "steps": 30, "loop": True}
_FORMATS = ("webp", "gif", "apng")


@dataclass(frozen=True)
class Cell:
    """One kind of file: median, least and most milliseconds of a request, and its size."""

    name: str
    scale: int
    ms: tuple[float, float, float]
    size_bytes: int


def main() -> None:
    """Start the service, ask, print the table and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.walks", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "mnist" / "1")
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--out", type=Path, default=None, help="Markdown file to write")
    chosen = parser.parse_args()
    system = systems(machine.cores())[OURS]
    with servers.running(
        system, system.variants[0], chosen.bundle, probe=generate(1, "png"), logs=SCRATCH / "logs"
    ) as server:
        asked = list(itertools.product(_FORMATS, chosen.scales))
        cells = [_cell(server.port, name, scale, chosen.repeats) for name, scale in asked]
        frames = np.load(io.BytesIO(_ask(server.port, _LOOP, "application/x-npy")))
    text = _page(cells, frames.astype(float), chosen.bundle)
    print(text)
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text, encoding="utf-8")


def _cell(port: int, name: str, scale: int, repeats: int) -> Cell:
    body, took, data = _LOOP | {"scale": scale}, [], b""
    for _ in range(repeats + 1):
        began = time.perf_counter()
        data = _ask(port, body, f"image/{name}")
        took.append((time.perf_counter() - began) * 1000)
    took = sorted(took[1:])  # without what is done once
    say(f"{name} x{scale}: {median(took):.0f} ms")
    return Cell(name, scale, (median(took), took[0], took[-1]), len(data))


def _ask(port: int, body: dict[str, Any], accept: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json", "Accept": accept}
    connection.request("POST", "/interpolate", json.dumps(body), headers)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    if response.status != 200:
        raise RuntimeError(data.decode())
    return data


def _page(cells: list[Cell], frames: "np.ndarray[Any, np.dtype[np.float64]]", bundle: Path) -> str:
    steps = np.abs(np.diff(np.concatenate([frames, frames[:1]]), axis=0)).mean(axis=(1, 2, 3))
    about = machine.describe()
    lines = ["# A loop of 120 frames in one request", ""]
    lines += [f"- `python -m benchmarks.walks` on {about['cpu']}, {bundle.parent.name}@{bundle.name}, commit "]
    lines[-1] += f"{about['commit']}"
    lines += [f"- from the last frame to the first {steps[-1]:.2f} grey levels change per pixel; from one frame to the"]
    lines += [f"  next {steps[:-1].mean():.2f} on average and {steps[:-1].max():.2f} at most", ""]
    lines += ["| format | scale | milliseconds | bytes |", "| --- | ---: | ---: | ---: |"]
    for cell in cells:
        middle, least, most = cell.ms
        lines.append(f"| {cell.name} | {cell.scale} | {middle:.0f} ({least:.0f}..{most:.0f}) | {cell.size_bytes:,} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
