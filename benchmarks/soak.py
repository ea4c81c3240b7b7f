"""Memory, file descriptors and threads after many mixed requests: `python -m benchmarks.soak --help`."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import load, machine, servers
from benchmarks.orders import generate, mixed, write_templates
from benchmarks.processes import open_files, rss_bytes, threads
from benchmarks.servers import Server
from benchmarks.service import SCRATCH, say
from benchmarks.systems import OURS, ROOT, one_model_folder, systems

_AIM_MIB = 5.0
_SETTLE_S = 2.0
_LONGEST_S = 3600.0


@dataclass(frozen=True)
class Reading:
    """The server at rest after so many good answers; `others` counts answers other than the expected ones."""

    requests: int
    rss_mib: float
    open_files: int
    threads: int
    others: int
    requests_per_s: float


def soak(bundle: Path, *, marks: Sequence[int], connections: int) -> list[Reading]:
    """Send mixed requests and read after each number of `marks`, which rise."""
    system = systems(machine.cores())[OURS]
    probe, templates = generate(1, "png"), SCRATCH / "soak.json"
    readings: list[Reading] = []
    with servers.running(system, system.variants[0], bundle, probe=probe, logs=SCRATCH / "logs") as server:
        _, png = servers.ask(server.port, probe, serial=0, timeout_s=30)
        write_templates(templates, mixed(png if (bundle / "discriminator.onnx").exists() else None))
        sent = 0
        for mark in marks:
            process = load.spawn(
                server.port,
                templates,
                seconds=_LONGEST_S,
                warm_up_s=0.0,
                connections=connections,
                requests=mark - sent,
                first_serial=sent,
            )
            found = load.collect(process, timeout_s=_LONGEST_S + 60)
            sent += found.good
            readings.append(_read(server, sent, found.errors, found.requests_per_s))
            one = readings[-1]
            say(f"{one.requests} requests: {one.rss_mib:.1f} MiB, {one.open_files} files, {one.threads} threads")
    return readings


def _read(server: Server, requests: int, others: int, rate: float) -> Reading:
    time.sleep(_SETTLE_S)  # connections close, and threads come to rest
    pids = server.tree.members()
    rss = sum(map(rss_bytes, pids)) / 2**20
    return Reading(requests, rss, open_files(pids), threads(pids), others, rate)


def text(readings: Sequence[Reading]) -> str:
    """A Markdown table and the verdict on its first and last line."""
    lines = ["| requests | RSS, MiB | open files | threads | unexpected answers | requests/s |", "|" + "---:|" * 6]
    lines += [
        f"| {r.requests} | {r.rss_mib:.1f} | {r.open_files} | {r.threads} | {r.others} | {r.requests_per_s:.0f} |"
        for r in readings
    ]
    first, last = readings[0], readings[-1]
    lines += [
        "",
        f"RSS grew by {last.rss_mib - first.rss_mib:+.1f} MiB from {first.requests} to {last.requests} requests "
        f"(aim: at most {_AIM_MIB:g}), file descriptors by {last.open_files - first.open_files:+d}, threads by "
        f"{last.threads - first.threads:+d} (aim: 0).",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that everything works; measures nothing")
    parser.add_argument("--mnist", default=ROOT / "models" / "mnist" / "1", type=Path, help="folder of the bundle")
    parser.add_argument(
        "--marks", type=int, nargs="+", default=[20_000, 40_000, 60_000, 80_000, 100_000], help="read after so many"
    )
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--out", type=Path, help="folder of the results; default: benchmarks/results/<date>-<machine>")
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.marks = [200, 400]
    out = chosen.out or (SCRATCH / "quick" if chosen.quick else ROOT / "benchmarks" / "results" / machine.folder_name())
    described = machine.describe()
    readings = soak(one_model_folder(chosen.mnist, SCRATCH), marks=sorted(chosen.marks), connections=chosen.connections)
    print(text(readings))
    out.mkdir(parents=True, exist_ok=True)
    document = {"machine": described, "command": machine.command_line(), "readings": [asdict(one) for one in readings]}
    (out / "soak.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    heading = f"# Soak\n\n`{machine.command_line()}` on {described['cpu']}, {described['cores']} cores\n\n"
    (out / "soak.md").write_text(heading + text(readings) + "\n", encoding="utf-8")
    sys.exit(1 if any(one.others for one in readings) else 0)


if __name__ == "__main__":
    main()
