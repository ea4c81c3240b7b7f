"""Networks of others, packaged by the command, and what came of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from bundle import Bundle, read_bundle, sample_latents
from training.cli import main
from training.players import open_session

SEEDS = range(20, 27)
Z4 = torch.randn(2, 100, 1, 1)
Z8 = torch.randn(2, 8)


def package(path: Path, *flags: str) -> Result:
    models = str(path.parent / "models")
    return CliRunner().invoke(main, ["package", str(path), "--name", "m", "--license", "MIT", "--out", models, *flags])


def packaged(path: Path, *flags: str) -> Path:
    result = package(path, *flags)
    assert result.exit_code == 0, result.output
    return Path(result.stdout.strip())


def refusal(path: Path, *flags: str) -> str:
    result = package(path, *flags)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    folder = path.parent / "models" / "m"
    assert not folder.exists() or list(folder.iterdir()) == []
    last = result.stderr.splitlines()[-1]
    assert last.startswith("gantrain: ")
    return last


def bundle_of(path: Path, *flags: str) -> Bundle:
    return read_bundle(packaged(path, *flags))


def run(graph: bytes | Path, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    made: NDArray[Any] = open_session(graph.read_bytes() if isinstance(graph, Path) else graph).run(None, dict(feed))[0]
    return made


def levels(values: NDArray[Any], *, low: float = -1, high: float = 1) -> NDArray[np.uint8]:
    """Floats NCHW -> the nearest grey levels NHWC, written apart from the code that is tested."""
    share = (values.astype(np.float64).transpose(0, 2, 3, 1) - low) / (high - low)
    return np.floor(share.clip(0, 1) * 255 + 0.5).clip(0, 255).astype(np.uint8)


def apart(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    assert first.shape == second.shape
    return int(np.abs(first.astype(int) - second.astype(int)).max())


def z_of(bundle: Bundle) -> NDArray[np.float32]:
    return sample_latents(bundle.manifest.latent, SEEDS)


def refusal_of_another(path: Path, *flags: str) -> str:
    """A refusal beside bundles that are there already."""
    result = package(path, *flags)
    assert result.exit_code == 1
    return result.stderr.splitlines()[-1]
