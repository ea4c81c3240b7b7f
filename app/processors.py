"""The CPUs that this process may keep busy."""

import os
from contextlib import suppress
from pathlib import Path


def available_threads() -> int:
    """CPU threads that this process may keep busy: its affinity, cut down to the cgroup's quota; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_cpus(Path("/sys/fs/cgroup"))
    return max(1, min(allowed, int(quota)) if quota is not None else allowed)


def cgroup_cpus(root: Path) -> float | None:
    """The CPU quota of the cgroup (v2 or v1) mounted at `root`, in CPUs; None where there is none."""
    with suppress(OSError, ValueError):
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError):
        v1 = root / "cpu"
        quota_us = int((v1 / "cpu.cfs_quota_us").read_text())
        return quota_us / int((v1 / "cpu.cfs_period_us").read_text()) if quota_us > 0 else None
    return None
