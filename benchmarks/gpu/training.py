"""Trains the presets at sizes that take a GPU, and checks what came of it: `python -m benchmarks.gpu.training --help`.

`train.sh` beside it sets everything up. Trainings go on where an earlier call left them.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.systems import ROOT
from training import checkpoint

_FAST = ("--precision", "bfloat16", "--device", "cuda")
_WIDE = ("--preset", "r3gan", "--generator-width", "256", "--discriminator-width", "256", "--blocks", "2")
_LARGE = (*_WIDE, "--batch-size", "256", "--g-lr", "1e-3", "--d-lr", "1e-3", "--penalty-every", "1")
_DRY = ("--preset", "r3gan", "--generator-width", "32", "--discriminator-width", "32", "--batch-size", "16")
_DRY_SHORT = ("--kimg", "0.1", "--report-every-kimg", "0.1", "--sample-every-kimg", "0.1", "--device", "cpu")


@dataclass(frozen=True)
class Job:
    """A training, and the least that it has to reach: figures, or shares of what real images reach."""

    name: str
    data: str
    flags: tuple[str, ...]
    at_least: Mapping[str, float]
    of_real: Mapping[str, float]

    def shortfalls(self, found: Mapping[str, Mapping[str, float]]) -> list[str]:
        """What is missing, in words; empty when all is reached."""
        wanted = [(metric, least) for metric, least in self.at_least.items()]
        wanted += [(metric, share * found[metric]["floor"]) for metric, share in self.of_real.items()]
        return [
            f"{self.name}: {metric} is {found[metric]['value']:.4g}, below {least:.4g}"
            for metric, least in wanted
            if found[metric]["value"] < least
        ]


JOBS = (
    Job("mnist", "mnist", (*_LARGE, "--kimg", "3000"), {"conditional_accuracy": 0.98}, {"coverage": 0.92}),
    Job("fashion", "fashion-mnist", (*_LARGE, "--kimg", "5000"), {"conditional_accuracy": 0.88}, {"coverage": 0.92}),
    Job("stacked", "stacked:mnist", (*_LARGE, "--kimg", "3000"), {"modes": 1000}, {}),
)
"""Sized so that none takes more than about ten minutes of a large GPU; not yet run on one."""


def main() -> None:
    """Measure the loop, train, evaluate, print one table; exit status 1 when a figure falls short."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist/ and fashion-mnist/")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu-training", help="folder of runs and tables")
    parser.add_argument("--jobs", nargs="+", choices=[job.name for job in JOBS], default=[job.name for job in JOBS])
    parser.add_argument("--dry-run", action="store_true", help="all of it on the CPU, tiny, without the checks")
    chosen = parser.parse_args()
    if not chosen.dry_run and not torch.cuda.is_available():
        sys.exit("torch sees no GPU here; --dry-run needs none")
    measured = [_compare_loops(chosen.out, precision, dry=chosen.dry_run) for precision in ("float32", "bfloat16")]
    lines = [*measured, "", "| training | " + " | ".join(_SHOWN) + " |", "| --- |" + " ---: |" * len(_SHOWN)]
    missing = []
    for job in JOBS:
        if job.name in chosen.jobs:
            found = _train(job, chosen.data, chosen.out / job.name, dry=chosen.dry_run)
            lines.append(f"| {job.name} | " + " | ".join(_cell(found, name) for name in _SHOWN) + " |")
            missing += job.shortfalls(found)
    device = "CPU (a dry run, which measures nothing)" if chosen.dry_run else torch.cuda.get_device_name()
    text = "\n".join([f"# Training on {device}", "", *lines]) + "\n"
    (chosen.out / "training.md").write_text(text, encoding="utf-8")
    print(text)
    if missing and not chosen.dry_run:
        sys.exit("\n".join(missing))


_SHOWN = ("fid", "precision", "recall", "coverage", "conditional_accuracy", "modes", "modes_divergence")


def _compare_loops(out: Path, precision: str, *, dry: bool) -> str:
    """The table of `benchmarks.training`."""
    path = out / f"loop-{precision}.md"
    flags = ["--precision", precision, "--device", "cpu" if dry else "cuda", "--out", str(path)]
    flags += ["--presets", "dcgan", "--steps", "1", "--alternations", "1"] if dry else ["--steps", "200"]
    _python("benchmarks.training", flags)
    return path.read_text(encoding="utf-8")


def _train(job: Job, data: Path, run: Path, *, dry: bool) -> dict[str, dict[str, float]]:
    kind, _, name = job.data.rpartition(":")
    source = f"{kind}:{data / name}" if kind else str(data / name)
    flags = ["--data", source, "--out", str(run), *((*_DRY, *_DRY_SHORT) if dry else (*job.flags, *_FAST))]
    flags += [] if dry else ["--evaluate-every-kimg", "250", "--sample-every-kimg", "250"]
    if checkpoint.begun(run):
        flags.append("--resume")
    _python("training", ["fit", *flags])
    images = "40" if dry else "26000" if kind else "10000"
    told = _python("training", ["evaluate", str(run), "--data", source, "--images", images, "--json"])
    found: dict[str, dict[str, float]] = json.loads(told)["metrics"]
    return found


def _cell(found: Mapping[str, Mapping[str, float]], name: str) -> str:
    if name not in found:
        return ""
    floor = found[name].get("floor")
    return f"{found[name]['value']:.4g}" + (f" (real {floor:.4g})" if floor is not None else "")


def _python(module: str, arguments: Sequence[str]) -> str:
    command = [sys.executable, "-m", module, *arguments]
    print(module, *arguments[:1], flush=True)
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=dict(os.environ)).stdout


if __name__ == "__main__":
    main()
