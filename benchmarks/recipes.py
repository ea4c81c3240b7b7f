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
from statistics import mean, median

import torch

from benchmarks import machine
from benchmarks.systems import ROOT
from benchmarks.training import OurLoop
from training import checkpoint
from training.config import PRESETS, TrainingConfig
from training.data import load

FAMILIES = ("mlp", "infogan", "dcgan", "wgan-gp", "sngan", "r3gan")
_COLUMNS = ("fid", "kid", "precision", "recall", "density", "coverage", "conditional_accuracy")


@dataclass(frozen=True)
class Run:
    """One preset trained once: what `evaluate` says at its end, and the quick figures on the way there.

    `precision` is that of the networks, and `course` has, for each quick measurement, images seen and FID.
    """

    data: str
    preset: str
    seed: int
    kimg: float
    precision: str
    metrics: dict[str, float]
    floors: dict[str, float]
    course: list[tuple[int, float]]


@dataclass
class Kept:
    """All runs on one data set, and the speed of each preset where it was measured on its own."""

    data: str
    runs: list[Run]
    speeds: dict[str, float]

    @classmethod
    def read(cls, folder: Path, data: str) -> "Kept":
        """What earlier calls left in `folder`."""
        path = folder / f"recipes-{data}.json"
        if not path.is_file():
            return cls(data, [], {})
        document = json.loads(path.read_text())
        return cls(data, [Run(**row) for row in document["runs"]], document["speeds"])

    def write(self, folder: Path) -> None:
        """Keep it, and the page that is made of it."""
        folder.mkdir(parents=True, exist_ok=True)
        document = {"runs": [asdict(run) for run in self.runs], "speeds": self.speeds}
        (folder / f"recipes-{self.data}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        (folder / f"recipes-{self.data}.md").write_text(self.page(), encoding="utf-8")

    def page(self) -> str:
        """The tables, in Markdown."""
        about = machine.describe()
        lines = [
            f"# Presets on {self.data}",
            "",
            f"- `python -m benchmarks.recipes` on {about['cpu']}, one core a run",
        ]
        lines += ["- 10,000 generated images against the 10,000 held-out ones, in the shipped extractor's features"]
        lines += ["- means over the seeds, least and most behind them; *real* is what training images score", ""]
        for kimg in sorted({run.kimg for run in self.runs}):
            same = [run for run in self.runs if run.kimg == kimg]
            lines += [f"## After {kimg:g} kimg", "", *_by_images(same, self.speeds), ""]
            lines += _by_time(same, self.speeds)
        return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Train what is missing, then write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="IDX directory")
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=FAMILIES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--kimg", type=float, default=200.0, help="images that each run sees, in thousands")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of all networks")
    parser.add_argument("--runs", type=Path, default=ROOT / "build" / "recipes", help="folder of the runs")
    parser.add_argument("--speeds", action="store_true", help="measure how fast each preset trains, on an idle machine")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    chosen = parser.parse_args()
    kept = Kept.read(chosen.out, chosen.data.resolve().name)
    for seed in chosen.seeds:
        for preset in chosen.presets:
            if any((run.preset, run.seed, run.kimg) == (preset, seed, chosen.kimg) for run in kept.runs):
                continue
            folder = chosen.runs / kept.data / f"{preset}-{seed}-{chosen.kimg:g}"
            flags = ["--seed", str(seed), "--threads", str(chosen.threads), "--precision", chosen.precision]
            _fit(folder, chosen.data, preset, flags, kimg=chosen.kimg)
            kept.runs.append(
                _measure(folder, chosen.data, preset, seed=seed, kimg=chosen.kimg, precision=chosen.precision)
            )
            kept.write(chosen.out)
    if chosen.speeds:
        presets = sorted({run.preset for run in kept.runs})
        kept.speeds = _speeds(presets, chosen.data, threads=chosen.threads, precision=chosen.precision)
    kept.write(chosen.out)
    print(kept.page())


def _fit(folder: Path, data: Path, preset: str, flags: Sequence[str], *, kimg: float) -> None:
    command = ["fit", "--preset", preset, "--data", str(data), "--out", str(folder), *flags]
    command += ["--kimg", f"{kimg:g}", "--evaluate-every-kimg", f"{kimg / 10:g}"]
    command += ["--sample-every-kimg", f"{kimg / 10:g}"]
    if checkpoint.begun(folder):
        command.append("--resume")
    _gantrain(command)


def _measure(folder: Path, data: Path, preset: str, *, seed: int, kimg: float, precision: str) -> Run:
    told = _gantrain(["evaluate", str(folder), "--data", str(data), "--json"])
    found = json.loads(told)["metrics"]
    course = [(int(row["images_seen"]), row["fid"]) for row in _lines(folder / "quality.jsonl")]
    return Run(
        data=data.resolve().name,
        preset=preset,
        seed=seed,
        kimg=kimg,
        precision=precision,
        metrics={name: metric["value"] for name, metric in found.items()},
        floors={name: metric["floor"] for name, metric in found.items() if metric.get("floor") is not None},
        course=course,
    )


def _gantrain(arguments: Sequence[str]) -> str:
    command = [sys.executable, "-m", "training", *arguments]
    print("gantrain", *arguments[:1], *arguments[2:4], flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout


def _lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _speeds(
    presets: Sequence[str], data: Path, *, threads: int, precision: str, turns: int = 3, steps: int = 10
) -> dict[str, float]:
    """Images a second of each preset's loop, the median of turns that they take one after another."""
    torch.set_num_threads(threads)
    images, loops = load(data).train, {}
    for preset in presets:
        config = TrainingConfig.from_preset(preset, data=data, kimg=1e6, precision=precision)
        every = steps * config.batch_size * config.d_steps / 1000
        loops[preset] = OurLoop(config.model_copy(update={"report_every_kimg": every}), images)
        loops[preset].images_per_s()
    rates: dict[str, list[float]] = {preset: [] for preset in presets}
    for _ in range(turns):
        for preset, loop in loops.items():
            rates[preset].append(loop.images_per_s())
    return {preset: median(found) for preset, found in rates.items()}


def _by_images(runs: Sequence[Run], speeds: Mapping[str, float]) -> list[str]:
    columns = [name for name in _COLUMNS if any(name in run.metrics for run in runs)]
    lines = ["| preset | seeds | networks in | " + " | ".join(columns) + " | images/s |"]
    lines += ["| --- | ---: | --- |" + " ---: |" * (len(columns) + 1)]
    floors = {name: value for run in runs for name, value in run.floors.items()}
    for preset, same in _grouped(runs).items():
        cells = [_spread([run.metrics[name] for run in same if name in run.metrics]) for name in columns]
        speed = f"{speeds[preset]:.0f}" if preset in speeds else ""
        precisions = ", ".join(sorted({run.precision for run in same}))
        lines.append(f"| {preset} | {len(same)} | {precisions} | " + " | ".join(cells) + f" | {speed} |")
    real = " | ".join(f"{floors[name]:.4g}" if name in floors else "" for name in columns)
    return [*lines, f"| *real* | | | {real} | |"]


def _by_time(runs: Sequence[Run], speeds: Mapping[str, float]) -> list[str]:
    """FID by the quick measurement after equal times, the first being what the slowest takes to its first one."""
    found = {preset: same for preset, same in _grouped(runs).items() if preset in speeds}
    if not found:
        return []
    first = max(same[0].course[0][0] / speeds[preset] for preset, same in found.items())
    limits = [first * times for times in (1, 2, 4, 8)]
    lines = [
        "FID by the quick measurement (2,000 images) after equal time on a core of its own, and of a preset that was"
    ]
    lines += ["through before then its last one:", ""]
    lines += ["| preset | " + " | ".join(f"{limit / 60:.1f} minutes" for limit in limits) + " |"]
    lines += ["| --- |" + " ---: |" * len(limits)]
    for preset, same in found.items():
        reached = [
            [max((seen, fid) for seen, fid in run.course if seen <= limit * speeds[preset])[1] for run in same]
            for limit in limits
        ]
        lines.append(f"| {preset} | " + " | ".join(map(_spread, reached)) + " |")
    return [*lines, ""]


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
