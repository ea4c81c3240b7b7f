"""Trainings that are killed at random, mid-save too, and go on: `python -m benchmarks.resume --help`.

Each trial starts a run of its own, kills it with SIGKILL once or more, lets it go on to its end, and compares the
SHA-256 of its last state (weights, optimizers, moving average, sampler, counters) with that of a run never stopped. A
kill comes at random after a step drawn at random; in every second trial, as soon as a checkpoint is being written.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
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
STEPS = int(float(SETTINGS["kimg"]) * 1000) // int(SETTINGS["batch-size"])
"""A checkpoint with every step, so that a kill may come after any of them."""
STEP_S = 0.1
"""About as long as a step and its save take: kills are spread over it."""
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Kill:
    """SIGKILL once a run has saved `after_images`: `delay_s` later, or `in_save`, with the next one half written."""

    after_images: int
    delay_s: float
    in_save: bool


def main() -> None:
    """Run the trials, print a line for each, and end with 1 if a hash differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resume", description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--kills", type=int, default=1, help="in each trial, one after another")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--data", type=Path, default=DIGITS)
    chosen = parser.parse_args()
    if not 1 <= chosen.kills <= STEPS // 2:
        parser.error(f"--kills: 1 to {STEPS // 2}")
    chance = random.Random(chosen.seed)  # noqa: S311 -- no secret
    equal = 0
    with tempfile.TemporaryDirectory(prefix="ganserve-resume-") as folder:
        began = time.monotonic()
        _play(Path(folder) / "whole", chosen.data, None)
        expected = checkpoint.load(Path(folder) / "whole").sha256()
        print(f"never stopped: {expected[:16]} in {time.monotonic() - began:.1f} s", flush=True)
        for trial in range(1, chosen.trials + 1):
            run, torn = Path(folder) / str(trial), 0
            steps = sorted(chance.sample(range(1, STEPS - 3), chosen.kills))
            for step in steps:
                kill = Kill(step * int(SETTINGS["batch-size"]), chance.uniform(0, STEP_S), in_save=trial % 2 == 0)
                _play(run, chosen.data, kill)
                torn += any(run.glob("*.unfinished"))
            _play(run, chosen.data, None)
            found = checkpoint.load(run).sha256()
            equal += found == expected
            killed = f"killed after step {', '.join(map(str, steps))} of {STEPS}{f', {torn} in a save' if torn else ''}"
            print(f"trial {trial:2}: {killed}: {found[:16]}", flush=True)
    print(f"{equal} of {chosen.trials} hashes equal")
    sys.exit(equal != chosen.trials)


def _play(run: Path, data: Path, kill: Kill | None) -> None:
    """Play on until the end, or until the kill; a run that ends too early or fails ends the benchmark."""
    command = [sys.executable, "-m", "training", "fit", "--data", str(data), "--out", str(run)]
    command += [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
    if checkpoint.begun(run):
        command.append("--resume")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told, env=environment)
        if kill is not None:
            _wait(process, run, kill)
            process.kill()
        process.wait(timeout=PATIENCE_S)
        if process.returncode != (0 if kill is None else -signal.SIGKILL):
            told.seek(0)
            sys.exit(f"the training ended with {process.returncode}: {told.read().decode(errors='replace')[-2000:]}")


def _wait(process: subprocess.Popen[bytes], run: Path, kill: Kill) -> None:
    """Return at the moment of the kill, or when the process has ended on its own."""
    saved, deadline = run / f"checkpoint-{kill.after_images:012d}.safetensors", time.monotonic() + PATIENCE_S

    def until(reached: Callable[[], bool], *, pause_s: float) -> None:
        while not reached() and process.poll() is None:
            if time.monotonic() > deadline:
                process.kill()
                sys.exit(f"the training did not come to its kill in {PATIENCE_S:.0f} s")
            time.sleep(pause_s)

    until(saved.exists, pause_s=0.001)  # far less than a step takes
    if kill.in_save:
        until(
            lambda: any(run.glob("*.unfinished")), pause_s=0.0
        )  # a save takes milliseconds: no pause, or it is missed
    else:
        time.sleep(kill.delay_s)  # the chance in the moment of the kill


if __name__ == "__main__":
    main()
