"""What grows with connections, images a request, image size and models: `python -m benchmarks.growth --help`."""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import load, machine, models, plots, servers
from benchmarks.orders import Template, generate, write_templates
from benchmarks.processes import open_files, rss_bytes, threads
from benchmarks.service import SCRATCH, say
from benchmarks.statistics import Spread
from benchmarks.systems import OURS, ROOT, one_model_folder, systems
from bundle import read_bundle

SWEEPS = {
    "connections": (1, 4, 16, 64, 256),
    "images": (1, 4, 16, 64, 256),
    "size": (32, 64, 128, 256, 512),
    "models": (1, 2, 4, 8, 16),
}
_QUICK = {"connections": (1, 4), "images": (1, 4), "size": (8, 16), "models": (1, 2)}
TITLES = {
    "connections": "connections, one PNG of 28x28 a request",
    "images": "images of 28x28 a request, as NPY, 4 connections",
    "size": "pixels each way, one PNG a request, 8 connections",
    "models": "models, one PNG of 28x28 a request, 16 connections",
}
_COLUMNS = {
    "requests_per_s": "requests/s",
    "images_per_s": "images/s",
    "megapixels_per_s": "megapixels/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "rss_mib": "RSS at rest, MiB",
}
_SETTLE_S = 1.0


@dataclass(frozen=True)
class Point:
    """One number on the axis of a sweep: a bundle, what is asked of it, and by how many connections."""

    sweep: str
    value: int
    bundle: Path
    templates: tuple[Template, ...]
    connections: int
    pixels: int


@dataclass(frozen=True)
class Reading:
    """One measurement of a point, and the server at rest after it."""

    sweep: str
    value: int
    requests_per_s: float
    images_per_s: float
    megapixels_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    rss_mib: float
    threads: int
    open_files: int


def copies(bundle: Path, count: int, folder: Path) -> list[Path]:
    """`count` bundles in a models folder made anew, alike in all but their names: mnist, mnist-2, mnist-3, ..."""
    shutil.rmtree(folder, ignore_errors=True)
    made = []
    for number in range(1, count + 1):
        document = json.loads((bundle / "manifest.json").read_text("utf-8"))
        document["name"] += "" if number == 1 else f"-{number}"
        copy = folder / document["name"] / bundle.name
        shutil.copytree(bundle, copy)
        (copy / "manifest.json").write_text(json.dumps(document, indent=2), "utf-8")
        made.append(copy)
    return made


def sized(side: int) -> Path:
    """A generator of random weights for images of `side` pixels each way: the 256x256 one, shorter or longer."""
    levels = (side // 4).bit_length()
    widths = (*models.WIDTHS, 8)[:levels]
    return models.write_bundle(models.FOLDER / f"side-{side}", widths=widths)


def points(sweep: str, values: Sequence[int], bundle: Path) -> list[Point]:
    """The points of a sweep; `bundle` is the small model's."""
    match sweep:
        case "connections":
            return [Point(sweep, n, bundle, (generate(1, "png"),), n, _pixels(bundle)) for n in values]
        case "images":
            return [Point(sweep, n, bundle, (generate(n, "npy"),), 4, _pixels(bundle)) for n in values]
        case "size":
            return [Point(sweep, n, sized(n), (generate(1, "png"),), 8, n * n) for n in values]
        case _:
            found = []
            for count in values:
                made = copies(bundle, count, SCRATCH / f"models-{count}")
                asked = tuple(_of_model(generate(1, "png"), copy.parent.name) for copy in made)
                found.append(Point(sweep, count, made[0], asked, 16, _pixels(bundle)))
            return found


def _of_model(template: Template, name: str) -> Template:
    return Template(**asdict(template) | {"body": template.body.replace("{", f'{{"model":"{name}",', 1)})


def _pixels(bundle: Path) -> int:
    image = read_bundle(bundle).manifest.image
    return image.height * image.width


def measure(point: Point, *, seconds: float, first_serial: int) -> Reading:
    """One measurement with a service of its own."""
    system, templates = systems(machine.cores())[OURS], SCRATCH / "growth.json"
    write_templates(templates, point.templates)
    with servers.running(
        system, system.variants[0], point.bundle, probe=generate(1, "png"), logs=SCRATCH / "logs"
    ) as server:
        driver = load.spawn(
            server.port,
            templates,
            seconds=seconds,
            warm_up_s=min(0.5, seconds),
            connections=point.connections,
            first_serial=first_serial,
        )
        found = load.collect(driver, timeout_s=20 * seconds + 60)
        time.sleep(_SETTLE_S)
        pids = server.tree.members()
        return Reading(
            sweep=point.sweep,
            value=point.value,
            requests_per_s=found.requests_per_s,
            images_per_s=found.images_per_s,
            megapixels_per_s=found.images_per_s * point.pixels / 1e6,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            errors=found.errors,
            rss_mib=sum(map(rss_bytes, pids)) / 2**20,
            threads=threads(pids),
            open_files=open_files(pids),
        )


def rotated(things: Sequence[Point], by: int) -> list[Point]:
    """The same things, another one first."""
    at = by % len(things)
    return [*things[at:], *things[:at]]


def table(sweep: str, readings: Sequence[Reading]) -> str:
    """Markdown: a row per point, medians and extremes over the repeats."""
    lines = [
        f"## By {TITLES[sweep]}",
        "",
        f"| {sweep} | {' | '.join(_COLUMNS.values())} | threads | errors |",
        "|" + "---:|" * 9,
    ]
    for value in sorted({one.value for one in readings if one.sweep == sweep}):
        mine = [one for one in readings if (one.sweep, one.value) == (sweep, value)]
        spreads = [Spread.of([float(getattr(one, column)) for one in mine]) for column in _COLUMNS]
        cells = [f"{found.median:.4g} ({found.least:.4g}..{found.most:.4g})" for found in spreads]
        most = max(one.threads for one in mine)
        lines.append(f"| {value} | {' | '.join(cells)} | {most} | {sum(one.errors for one in mine)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that everything works; measures nothing")
    parser.add_argument("--sweeps", nargs="+", choices=list(SWEEPS), default=list(SWEEPS))
    parser.add_argument("--mnist", default=ROOT / "models" / "mnist" / "1", type=Path, help="folder of the bundle")
    parser.add_argument("--repeats", type=int, default=3, help="of every point (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of every measurement (%(default)g)")
    parser.add_argument("--out", type=Path, help="folder of the results; default: benchmarks/results/<date>-<machine>")
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.repeats, chosen.seconds = 1, 0.3
    out = chosen.out or (SCRATCH / "quick" if chosen.quick else ROOT / "benchmarks" / "results" / machine.folder_name())
    described, readings = machine.describe(), []
    SCRATCH.mkdir(parents=True, exist_ok=True)
    for sweep in chosen.sweeps:
        every = points(sweep, (_QUICK if chosen.quick else SWEEPS)[sweep], one_model_folder(chosen.mnist, SCRATCH))
        for repeat in range(chosen.repeats):
            for point in rotated(every, repeat):
                readings.append(measure(point, seconds=chosen.seconds, first_serial=repeat * 10_000_000))
                one = readings[-1]
                say(f"{sweep} {one.value}: {one.images_per_s:.0f} images/s, p99 {one.p99_ms:.1f} ms")
    out.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": described,
        "command": machine.command_line(),
        "titles": TITLES,
        "readings": [asdict(one) for one in readings],
    }
    (out / "growth.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    heading = f"# Growth\n\n`{machine.command_line()}` on {described['cpu']}, {described['cores']} cores, one service"
    heading += f" for every measurement, commit {described['commit']}\n\n"
    body = "\n\n".join(table(sweep, readings) for sweep in chosen.sweeps)
    (out / "growth.md").write_text(heading + body + "\n", encoding="utf-8")
    print(body)
    if not plots.draw(out / "growth.json", out, module="benchmarks.growth_plots"):
        say("no plots: `make bench` sets up what draws them")


if __name__ == "__main__":
    main()
