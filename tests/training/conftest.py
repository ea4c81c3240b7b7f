"""A short real run on the shipped digits, shared by the tests that need one."""

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from training.config import TrainingConfig
from training.data import Split, load
from training.fit import fit

DIGITS = Path(__file__).parents[1] / "data" / "digits"


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Split:
    return load(DIGITS)


def small_config(**changes: object) -> TrainingConfig:
    """A game of a few hundred images with narrow networks."""
    settings: dict[str, object] = {
        "data": DIGITS,
        "generator_width": 16,
        "discriminator_width": 16,
        "z_dim": 8,
        "batch_size": 20,
        "kimg": 0.4,
        "report_every_kimg": 0.1,
        "sample_every_kimg": 0.2,
        "device": "cpu",
        "lr_decay": False,
    }
    return TrainingConfig.from_preset("dcgan", **{**settings, **changes})


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, digits: Split) -> Path:
    run = tmp_path_factory.mktemp("runs") / "digits"
    fit(small_config(), digits, run, resume=False, console=quiet())
    return run
