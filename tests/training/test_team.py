"""Two real processes, as torchrun starts them, against one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.conftest import DIGITS
from training import checkpoint

SETTINGS = {
    "generator-width": "16",
    "discriminator-width": "16",
    "z-dim": "8",
    "batch-size": "20",
    "kimg": "0.2",
    "report-every-kimg": "0.04",
    "sample-every-kimg": "0.1",
    "device": "cpu",
    "threads": "1",
}


def _fit(run: Path, *flags: str, processes: int) -> subprocess.CompletedProcess[str]:
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    given = [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
    command = [
        *start,
        "-m",
        "training",
        "fit",
        "--data",
        str(DIGITS),
        "--out",
        str(run),
        *given,
        "--no-lr-decay",
        *flags,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=environment)


def _losses(run: Path) -> list[tuple[float, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["d_loss"], line["g_loss"]) for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ["--preset", "r3gan", "--augment", "translation"],
        ["--preset", "dcgan", "--augment", "translation", "--augment-target", "0.1"],  # batch norm in G
        ["--preset", "infogan"],  # and in D
    ],
    ids=lambda flags: str(flags[1]),
)
def test_two_processes_play_the_game_of_one(tmp_path: Path, flags: list[str]) -> None:
    for processes in (1, 2):
        done = _fit(tmp_path / str(processes), *flags, processes=processes)
        assert done.returncode == 0, done.stderr
    alone, together = _losses(tmp_path / "1"), _losses(tmp_path / "2")
    assert len(alone) == len(together) == 5
    for one, two in zip(alone, together, strict=True):
        assert two == pytest.approx(one, rel=1e-2)  # a game amplifies rounding
    states = [checkpoint.load(tmp_path / str(processes)) for processes in (1, 2)]
    assert states[0].facts["sampler_position"] == states[1].facts["sampler_position"] == 200
    for name, value in states[0].part("discriminator").items():
        assert torch.allclose(value, states[1].part("discriminator")[name], atol=2e-2, rtol=2e-2), name


@pytest.mark.slow
def test_processes_that_cannot_share_a_batch_are_refused(tmp_path: Path) -> None:
    done = _fit(tmp_path / "run", "--batch-size", "21", processes=2)
    assert done.returncode != 0
    assert "cannot have equal shares" in done.stderr
