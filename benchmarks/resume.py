"""Trainings that are killed at random, mid-save too, and go on: `python -m benchmarks.resume --help`.

Each trial starts a run of its own, kills it with SIGKILL once or more, lets it go on to its end, and compares the
SHA-256 of its last state (weights, optimizers, moving average, sampler, counters) with that of a run never stopped.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from training import checkpoint

DIGITS = Path(__file__).parents[1] / "tests" / "data" / "digits"
SETTINGS = {
    "preset": "r3gan",
    "generator-width": "16",
    "discriminator-width": "16",
    "z-dim": "8",
    "batch-size": "20",
    "kimg": "1",
    "report-every-kimg": "0.02",
    "sample-every-kimg": "0.02",
    "augment": "translation",
    "device": "cpu",
    "threads": "1",
}
"""A checkpoint with every step, so that many kills fall into a save."""


def main() -> None:
    """Run the trials, print a line for each, and end with 1 if a hash differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resume", description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--kills", type=int, default=1, help="in each trial, one after another")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--data", type=Path, default=DIGITS)
    chosen = parser.parse_args()
    chance = random.Random(chosen.seed)  # noqa: S311 -- no secret
    with tempfile.TemporaryDirectory(prefix="ganserve-resume-") as folder:
        began = time.monotonic()
        _play(Path(folder) / "whole", chosen.data, kill_after_s=None)
        whole_s = time.monotonic() - began
        expected = checkpoint.load(Path(folder) / "whole").sha256()
        print(f"never stopped: {expected[:16]} in {whole_s:.1f} s")
        equal = 0
        for trial in range(1, chosen.trials + 1):
            run, kills, torn = Path(folder) / str(trial), 0, 0
            while not _play(
                run, chosen.data, kill_after_s=chance.uniform(0.3, 0.95) * whole_s if kills < chosen.kills else None
            ):
                kills += 1
                torn += any(run.glob("*.unfinished"))
            found = checkpoint.load(run).sha256()
            equal += found == expected
            print(f"trial {trial:2}: {kills} kills, {torn} of them in a save: {found[:16]}", flush=True)
    print(f"{equal} of {chosen.trials} hashes equal")
    sys.exit(equal != chosen.trials)


def _play(run: Path, data: Path, *, kill_after_s: float | None) -> bool:
    """Play on until the end, or until the kill; whether it came to its end."""
    command = [sys.executable, "-m", "training", "fit", "--data", str(data), "--out", str(run)]
    command += [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
    if checkpoint.begun(run):
        command.append("--resume")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    try:
        _, told = process.communicate(timeout=kill_after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return False
    if process.returncode:
        sys.exit(f"the training failed: {told.decode(errors='replace')[-2000:]}")
    return True


if __name__ == "__main__":
    main()
