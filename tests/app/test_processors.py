import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.processors import available_threads, cgroup_cpus


def test_threads_are_at_least_one_and_no_more_than_the_affinity() -> None:
    assert 1 <= available_threads() <= len(os.sched_getaffinity(0))


def _quota(tmp_path: Path, text: str) -> Callable[[], float | None]:
    (tmp_path / "cpu.max").write_text(text)
    return lambda: cgroup_cpus(tmp_path)


@pytest.mark.parametrize(
    ("text", "cpus"), [("max 100000\n", None), ("150000 100000\n", 1.5), ("50000 100000\n", 0.5), ("nonsense", None)]
)
def test_the_cgroup_quota_is_read(tmp_path: Path, text: str, cpus: float | None) -> None:
    assert _quota(tmp_path, text)() == cpus


@pytest.mark.parametrize(("quota_us", "cpus"), [("200000", 2.0), ("-1", None)])
def test_the_older_cgroup_quota_is_read(tmp_path: Path, quota_us: str, cpus: float | None) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota_us)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert cgroup_cpus(tmp_path) == cpus
