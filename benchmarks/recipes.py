"""Presets against each other at equal images seen and at equal time: `python -m benchmarks.recipes --help`.

Every run is a `gantrain fit` of its own, with `--evaluate-every-kimg`, and goes on where an earlier call left it; at
its end `gantrain evaluate` measures the whole. The figures of all runs are kept in one JSON file, from which the tables
are made, so that runs can be added on another day.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

from benchmarks import machine
from benchmarks.systems import ROOT
from training import checkpoint
from training.config import PRESETS

COLUMNS = ("fid", "kid", "precision", "recall", "density", "coverage", "conditional_accuracy")


@dataclass(frozen=True)
class Run:
    """One preset trained once: what `evaluate` says at its end, and the quick figures on the way there.

    `course` has, for each quick measurement, images seen, seconds of training, and FID.
    """

    data: str
    preset: str
    seed: int
    kimg: float
    images_per_s: float
    metrics: dict[str, float]
    floors: dict[str, float]
    course: list[tuple[int, float, float]]


def main() -> None:
    """Train what is missing, then write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="IDX directory")
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--kimg", type=float, default=200.0, help="images that each run sees, in thousands")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=ROOT / "build" / "recipes", help="folder of the runs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    chosen = parser.parse_args()
    name = chosen.data.resolve().name
    kept = chosen.out / f"recipes-{name}.json"
    runs = [Run(**row) for row in json.loads(kept.read_text())["runs"]] if kept.is_file() else []
    for seed in chosen.seeds:
        for preset in chosen.presets:
            if any((run.preset, run.seed, run.kimg) == (preset, seed, chosen.kimg) for run in runs):
                continue
            folder = chosen.runs / name / f"{preset}-{seed}-{chosen.kimg:g}"
            _fit(folder, chosen.data, preset, seed=seed, kimg=chosen.kimg, threads=chosen.threads)
            runs.append(_measure(folder, chosen.data, preset, seed=seed, kimg=chosen.kimg))
            chosen.out.mkdir(parents=True, exist_ok=True)
            document = {"machine": machine.describe(), "threads": chosen.threads, "runs": [asdict(run) for run in runs]}
            kept.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            page = _page(name, runs, document["machine"], threads=chosen.threads)
            (chosen.out / f"recipes-{name}.md").write_text(page, encoding="utf-8")
    print(_page(name, runs, machine.describe(), threads=chosen.threads))


def _fit(folder: Path, data: Path, preset: str, *, seed: int, kimg: float, threads: int) -> None:
    command = ["fit", "--preset", preset, "--data", str(data), "--out", str(folder), "--seed", str(seed)]
    command += ["--kimg", f"{kimg:g}", "--threads", str(threads), "--evaluate-every-kimg", f"{kimg / 10:g}"]
    command += ["--sample-every-kimg", f"{kimg / 10:g}"]
    if folder.is_dir() and checkpoint.checkpoints(folder):
        command.append("--resume")
    _gantrain(command, threads=threads)


def _measure(folder: Path, data: Path, preset: str, *, seed: int, kimg: float) -> Run:
    told = _gantrain(["evaluate", str(folder), "--data", str(data), "--json"], threads=1)
    found = json.loads(told)["metrics"]
    seconds: dict[float, float] = {}
    elapsed, before = 0.0, 0.0
    for report in _lines(folder / "metrics.jsonl"):
        elapsed += (report["images_seen"] - before) / report["images_per_s"]
        before = report["images_seen"]
        seconds[before] = elapsed
    course = [
        (int(row["images_seen"]), seconds[row["images_seen"]], row["fid"]) for row in _lines(folder / "quality.jsonl")
    ]
    return Run(
        data=data.resolve().name,
        preset=preset,
        seed=seed,
        kimg=kimg,
        images_per_s=before / elapsed,
        metrics={name: metric["value"] for name, metric in found.items()},
        floors={name: metric["floor"] for name, metric in found.items() if metric.get("floor") is not None},
        course=course,
    )


def _gantrain(arguments: Sequence[str], *, threads: int) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "training", *arguments]
    print("gantrain", *arguments[:1], *arguments[2:4], flush=True)
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout


def _lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _page(name: str, runs: Sequence[Run], about: Mapping[str, object], *, threads: int) -> str:
    lines = [f"# Presets on {name}", ""]
    lines += [f"- machine: {about['cpu']}, {threads} thread(s) a run, commit {about['commit']}"]
    lines += ["- 10,000 generated images against the 10,000 held-out ones, in the shipped extractor's features"]
    lines += ["- means over the seeds, least and most behind them; *real* is what training images score", ""]
    for kimg in sorted({run.kimg for run in runs}):
        same = [run for run in runs if run.kimg == kimg]
        lines += [f"## After {kimg:g} kimg", "", *_by_images(same), ""]
        lines += [*_by_time(same), ""]
    return "\n".join(lines).rstrip() + "\n"


def _by_images(runs: Sequence[Run]) -> list[str]:
    columns = [name for name in COLUMNS if any(name in run.metrics for run in runs)]
    lines = ["| preset | seeds | " + " | ".join(columns) + " | images/s |"]
    lines += ["| --- | ---: |" + " ---: |" * (len(columns) + 1)]
    floors = {name: value for run in runs for name, value in run.floors.items()}
    for preset, same in _grouped(runs).items():
        cells = [_spread([run.metrics[name] for run in same if name in run.metrics]) for name in columns]
        speed = _spread([run.images_per_s for run in same], digits=3)
        lines.append(f"| {preset} | {len(same)} | " + " | ".join(cells) + f" | {speed} |")
    real = " | ".join(f"{floors[name]:.4g}" if name in floors else "" for name in columns)
    return [*lines, f"| *real* | | {real} | |"]


def _by_time(runs: Sequence[Run]) -> list[str]:
    """FID by the quick measurement (2,000 images) when the fastest preset was through, for all of them."""
    limit = min(run.course[-1][1] for run in runs if run.course)
    lines = [f"FID by the quick measurement (2,000 images) after {limit / 60:.1f} minutes of training each:", ""]
    lines += ["| preset | kimg seen | FID |", "| --- | ---: | ---: |"]
    for preset, same in _grouped(runs).items():
        reached = [[point for point in run.course if point[1] <= limit * 1.001] for run in same]
        last = [points[-1] for points in reached if points]
        if last:
            seen = mean(point[0] for point in last) / 1000
            lines.append(f"| {preset} | {seen:.0f} | {_spread([point[2] for point in last])} |")
        else:
            lines.append(f"| {preset} | fewer than the first measurement | |")
    return lines


def _grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    return {preset: same for preset in PRESETS if (same := [run for run in runs if run.preset == preset])}


def _spread(values: Sequence[float], *, digits: int = 4) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.{digits}g}"
    return f"{mean(values):.{digits}g} ({min(values):.{digits}g}..{max(values):.{digits}g})"


if __name__ == "__main__":
    main()
