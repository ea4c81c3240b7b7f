"""What is compared: the service as users start it, and each peer with the configurations that it may be tuned to."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.peers.settings import PeerSettings

ROOT = Path(__file__).parents[1]
PEER_BIN = ROOT / "build" / "bench-venv" / "bin"
OURS = "ganserve"


@dataclass(frozen=True)
class Variant:
    """A configuration: ONNX Runtime threads per process, processes, batch size (1: off), and the wait for a batch."""

    threads: int = 1
    workers: int = 1
    max_batch_size: int = 1
    max_wait_ms: float = 0.0

    @property
    def label(self) -> str:
        """In words."""
        batching = "no batching" if self.max_batch_size == 1 else f"batches to {self.max_batch_size}"
        wait = f", waiting {self.max_wait_ms:g} ms" if self.max_wait_ms else ""
        return f"{self.workers} process(es) x {self.threads} thread(s), {batching}{wait}"


@dataclass(frozen=True)
class System:
    """A server that can be measured. `exclusive` ones cannot be paused, and are started for their turn alone."""

    name: str
    title: str
    variants: tuple[Variant, ...]
    command: Callable[[Variant, Path, int], list[str]]
    exclusive: bool = False
    ready_timeout_s: float = 120.0

    def environment(self, variant: Variant, bundle: Path, port: int) -> dict[str, str]:
        """What its processes are given; nothing of the service's own settings leaks in."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GANSERVE_")}
        settings = PeerSettings(bundle, port, *vars(variant).values())
        quiet = {"ORT_DISABLE_TELEMETRY": "1", "BENTOML_DO_NOT_TRACK": "True", "RAY_USAGE_STATS_ENABLED": "0"}
        return kept | settings.environment() | quiet | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}


def systems(cores: int) -> dict[str, System]:
    """Every system by name, ours first; peers may use as many processes or threads as there are cores."""
    one, wide, many = Variant(), Variant(threads=cores), Variant(workers=cores)
    batch = Variant(max_batch_size=64)
    known = [
        System(OURS, "ganserve serve", (Variant(),), _ganserve),
        System("fastapi", "FastAPI def route", _distinct(one, wide), _module("plain_fastapi")),
        System("fastapi-workers", "FastAPI def route, a process per core", (many,), _module("plain_fastapi")),
        System(
            "mosec",
            "mosec",
            _distinct(
                *(replace(batch, max_wait_ms=wait) for wait in (1, 5)),
                replace(batch, threads=cores, max_wait_ms=1),
                replace(batch, workers=cores, max_wait_ms=1),
                many,
            ),
            _module("mosec_workers"),
        ),
        System(
            "litserve",
            "LitServe",
            _distinct(
                *(replace(batch, max_wait_ms=wait) for wait in (1, 5)),
                replace(batch, threads=cores, max_wait_ms=1),
                replace(batch, workers=cores, max_wait_ms=1),
                one,
            ),
            _module("litserve_api"),
        ),
        System("bentoml", "BentoML", _distinct(batch, replace(batch, threads=cores), one, wide, many), _bentoml),
        System(
            "ray",
            "Ray Serve",
            _distinct(
                replace(batch, max_wait_ms=1),
                replace(batch, threads=cores, max_wait_ms=1),
                replace(batch, workers=cores, max_wait_ms=1),
            ),
            _module("ray_deployment"),
            exclusive=True,
            ready_timeout_s=180.0,
        ),
    ]
    return {system.name: system for system in known}


def _distinct(*variants: Variant) -> tuple[Variant, ...]:
    return tuple(dict.fromkeys(variants))


def _ganserve(_: Variant, bundle: Path, port: int) -> list[str]:
    script = Path(sys.executable).with_name("ganserve")
    program = [str(script)] if script.exists() else [sys.executable, "-c", "from app.cli import main; main()"]
    return [*program, "serve", "--models", str(bundle.parents[1]), "--port", str(port)]


def _module(name: str) -> Callable[[Variant, Path, int], list[str]]:
    return lambda _, __, ___: [str(PEER_BIN / "python"), "-m", f"benchmarks.peers.{name}"]


def _bentoml(variant: Variant, _: Path, port: int) -> list[str]:
    service = "Whole" if variant.max_batch_size == 1 else "Front"
    words = ["serve", f"benchmarks.peers.bentoml_service:{service}", "--host", "127.0.0.1", "--port", str(port)]
    return [str(PEER_BIN / "bentoml"), *words]


def one_model_folder(bundle: Path, scratch: Path) -> Path:
    """A copy of a bundle that is alone in its models folder, `scratch/<bundle's name>/models/<name>/<version>`."""
    name, version = bundle.parent.name, bundle.name
    copy = scratch / name / "models" / name / version
    shutil.rmtree(scratch / name, ignore_errors=True)
    shutil.copytree(bundle, copy)
    return copy
