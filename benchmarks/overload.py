"""Ten times more work than the service can do, for a minute: `python -m benchmarks.overload --help`."""

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import load, machine, models, servers
from benchmarks.orders import Template, generate, write_templates
from benchmarks.service import SCRATCH, say
from benchmarks.statistics import percentile
from benchmarks.systems import OURS, ROOT, one_model_folder, systems
from benchmarks.tally import Summary

CASES = (("mnist", 1), ("mnist", 64), ("rgb256", 1))
_PROBE_RATE_PER_S = 10.0
_IN_A_ROW = 10
_FLOOR_MS = 50.0
_MOST_CONNECTIONS = 4096
"""More than the service's queue holds, so that single-image requests can fill it."""


@dataclass(frozen=True)
class Overload:
    """What one overload showed; `statuses` are those of the overload itself, and a probe goes on beside it."""

    model: str
    images_a_request: int
    capacity_images_per_s: float
    offered_requests_per_s: float
    offered_for_s: float
    goodput_share: float
    statuses: dict[str, int]
    refused_share: float
    refused_with_retry_after_share: float
    refused_p99_ms: float
    livez_p99_ms: float
    livez_errors: int
    normal_p99_ms: float
    recovered_after_s: float | None
    client_cpu_share: float


def recovery_s(
    timeline: Sequence[tuple[float, float, str]], *, end_s: float, normal_ms: float, in_a_row: int = _IN_A_ROW
) -> float | None:
    """Seconds from the end of the overload until the first of `in_a_row` probes that were all good and all quick.

    `timeline` holds (due, took_ms, status) of the probes; None when that never came.
    """
    after = [entry for entry in sorted(timeline) if entry[0] >= end_s]
    fine = [status == "200" and took_ms <= normal_ms for _, took_ms, status in after]
    for at in range(len(after) - in_a_row + 1):
        if all(fine[at : at + in_a_row]):
            return after[at][0] - end_s
    return None


def overload(model: str, images: int, bundle: Path, *, times: float, seconds: float, after_s: float) -> Overload:
    """Measure capacity, overload, and watch liveness and recovery."""
    system = systems(machine.cores())[OURS]
    probe, work = generate(1, "png"), generate(images, "png")
    with servers.running(system, system.variants[0], bundle, probe=probe, logs=SCRATCH / "logs") as server:
        port = server.port
        capacity = _closed(port, work, seconds=max(1.0, seconds / 6))
        normal = _Open(port, probe, rate=_PROBE_RATE_PER_S, seconds=max(1.0, seconds / 12))
        idle = normal(0)
        rate = capacity.requests_per_s * times
        offered = _Open(port, work, rate=rate, seconds=seconds, first_serial=10_000_000)
        livez = _Open(port, Template("/livez", "GET"), rate=2 * _PROBE_RATE_PER_S, seconds=seconds)
        watch = _Open(port, probe, rate=_PROBE_RATE_PER_S, seconds=seconds + after_s, first_serial=20_000_000)
        found, alive, seen = offered(after_s), livez(after_s), watch(after_s)
    refused = sum(count for status, count in found.statuses.items() if status in {"429", "503"})
    normal_ms = max(2 * idle.p99_ms, _FLOOR_MS)
    return Overload(
        model=model,
        images_a_request=images,
        capacity_images_per_s=capacity.images_per_s,
        offered_requests_per_s=rate,
        offered_for_s=seconds,
        goodput_share=found.images_per_s / max(capacity.images_per_s, 1e-9),
        statuses=found.statuses,
        refused_share=refused / max(1, sum(found.statuses.values())),
        refused_with_retry_after_share=found.refused_with_retry_after / max(1, refused),
        refused_p99_ms=found.refused_p99_ms,
        livez_p99_ms=percentile([took_ms for _, took_ms, _ in alive.timeline] or [0.0], 0.99),
        livez_errors=alive.errors,
        normal_p99_ms=idle.p99_ms,
        recovered_after_s=recovery_s(seen.timeline, end_s=seconds, normal_ms=normal_ms),
        client_cpu_share=found.client_cpu_share,
    )


def _closed(port: int, template: Template, *, seconds: float) -> Summary:
    connections = max(4, min(64, 1024 // template.images))
    path = _file(template)
    return load.collect(
        load.spawn(port, path, seconds=seconds, warm_up_s=1.0, connections=connections), timeout_s=10 * seconds + 60
    )


class _Open:
    """An open loop under way in a process of its own; call it for what it found."""

    def __init__(self, port: int, template: Template, *, rate: float, seconds: float, first_serial: int = 0) -> None:
        self._seconds = seconds
        self._process = load.spawn(
            port,
            _file(template),
            seconds=seconds,
            warm_up_s=0.0,
            connections=_MOST_CONNECTIONS,
            rate_per_s=rate,
            first_serial=first_serial,
            timeline=rate <= 2 * _PROBE_RATE_PER_S,
        )

    def __call__(self, patience_s: float) -> Summary:
        return load.collect(self._process, timeout_s=self._seconds + patience_s + 60)


def _file(template: Template) -> Path:
    path = SCRATCH / f"overload-{template.method}-{template.images}.json"
    write_templates(path, [template])
    return path


def text(found: Overload) -> str:
    """The verdict, line by line, beside what is aimed for."""
    recovered = "never" if found.recovered_after_s is None else f"{found.recovered_after_s:.1f} s"
    rows = [
        ("capacity", f"{found.capacity_images_per_s:.0f} images/s", ""),
        ("offered", f"{found.offered_requests_per_s:.0f} requests/s for {found.offered_for_s:g} s", ""),
        ("goodput / capacity", f"{found.goodput_share:.2f}", ">= 0.90"),
        ("refused", f"{found.refused_share:.1%} of all; {found.statuses}", "the rest"),
        ("refusals with Retry-After", f"{found.refused_with_retry_after_share:.1%}", "100.0%"),
        ("p99 of the refusals", f"{found.refused_p99_ms:.1f} ms", "<= 100 ms"),
        ("p99 of /livez", f"{found.livez_p99_ms:.1f} ms, {found.livez_errors} errors", "<= 100 ms"),
        ("back to normal after", recovered, "<= 5 s"),
        ("client CPU", f"{found.client_cpu_share:.0%} of one core", ""),
    ]
    lines = [f"## {found.model}, {found.images_a_request} image(s) a request", "", "| | found | aim |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} | {aim} |" for name, value, aim in rows)])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that everything works; measures nothing")
    parser.add_argument("--case", nargs="+", metavar="MODEL:IMAGES", help="default: mnist:1 mnist:64 rgb256:1")
    parser.add_argument(
        "--mnist", default=ROOT / "models" / "mnist" / "1", type=Path, help="folder of the small bundle"
    )
    parser.add_argument("--times", type=float, default=10.0, help="this many times capacity (%(default)g)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (%(default)g)")
    parser.add_argument("--after-s", type=float, default=40.0, help="how long recovery is watched (%(default)g)")
    parser.add_argument("--out", type=Path, help="folder of the results; default: benchmarks/results/<date>-<machine>")
    chosen = parser.parse_args(arguments)
    cases = list(CASES) if chosen.case is None else [_case(word) for word in chosen.case]
    if chosen.quick:
        chosen.seconds, chosen.after_s, cases = 2.0, 3.0, cases[:1]
    out = chosen.out or (SCRATCH / "quick" if chosen.quick else ROOT / "benchmarks" / "results" / machine.folder_name())
    described, found = machine.describe(), []
    _allow_files(2 * _MOST_CONNECTIONS)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    for model, images in cases:
        say(f"overload: {model}, {images} image(s) a request")
        bundle = models.write_bundle(models.FOLDER) if model == models.NAME else chosen.mnist
        copy = one_model_folder(bundle, SCRATCH)
        one = overload(model, images, copy, times=chosen.times, seconds=chosen.seconds, after_s=chosen.after_s)
        found.append(one)
        print(text(one), end="\n\n", flush=True)
        time.sleep(1.0)
    out.mkdir(parents=True, exist_ok=True)
    document = {"machine": described, "command": machine.command_line(), "overloads": [asdict(one) for one in found]}
    (out / "overload.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    heading = f"# Overload\n\n`{machine.command_line()}` on {described['cpu']}, {described['cores']} cores\n\n"
    (out / "overload.md").write_text(heading + "\n\n".join(map(text, found)) + "\n", encoding="utf-8")


def _allow_files(wanted: int) -> None:
    """Let this process and those that it starts hold so many sockets, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _case(word: str) -> tuple[str, int]:
    model, _, images = word.partition(":")
    if model not in {"mnist", models.NAME} or not images.isdigit():
        sys.exit(f"{word}: a case is MODEL:IMAGES, such as mnist:64")
    return model, int(images)


if __name__ == "__main__":
    main()
