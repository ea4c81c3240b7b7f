"""The machine and the versions that figures belong to."""

import json
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from app.processors import available_threads
from benchmarks.systems import PEER_BIN, ROOT

_OURS = (
    "fastapi",
    "httptools",
    "isal",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "orjson",
    "pillow",
    "simplejpeg",
    "starlette",
    "uvicorn",
    "uvloop",
)
_PEERS = ("bentoml", "fastapi", "litserve", "mosec", "numpy", "onnxruntime", "pillow", "ray", "starlette", "uvicorn")
_LIST = "import importlib.metadata as m,json,sys;print(json.dumps({n:m.version(n) for n in sys.argv[1:]}))"


def cores() -> int:
    """CPU cores that this process may use."""
    return available_threads()


def describe() -> dict[str, object]:
    """Plain data that names the machine by what matters, and no path or host of it."""
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no", "--", "app", "bundle")),
        "versions": {name: version for name in _OURS if (version := _version(name)) is not None},
        "peer_versions": _peer_versions(),
    }


def folder_name(now: datetime | None = None) -> str:
    """`<date>-<machine>`, such as 2026-01-31-2-core-xeon-8375c."""
    model = re.sub(r"\(.*?\)|\b(cpu|processor|intel|amd)\b|@.*", " ", _cpu_model().lower())
    words = re.findall(r"[a-z0-9.]+", model)[:3]
    return "-".join([f"{now or datetime.now(UTC):%Y-%m-%d}", str(cores()), "core", *words])


def busy() -> str | None:
    """What spoils a measurement now, or None: other work on the machine."""
    load = os.getloadavg()[0]
    return f"the load average is {load:.1f}; figures taken beside other work mean little" if load > 0.5 else None


def command_line() -> str:
    """The command as a person would type it in the checkout."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    name = module.name.removesuffix(".__main__") if module is not None else Path(sys.argv[0]).name
    return " ".join(["python -m", name, *sys.argv[1:]]).replace(f"{ROOT}/", "")


def _cpu_model() -> str:
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _peer_versions() -> dict[str, str]:
    python = PEER_BIN / "python"
    if not python.exists():
        return {}
    out = subprocess.run([python, "-c", _LIST, *_PEERS], stdout=subprocess.PIPE, text=True, check=False).stdout
    versions: dict[str, str] = json.loads(out or "{}")
    return versions


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
