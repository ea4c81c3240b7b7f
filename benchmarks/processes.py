"""Process trees as Linux shows them: who belongs to a server, what memory they hold, pausing and ending them."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MARK = "BENCH_MARK"
"""An environment variable that a server's processes inherit, however far they move from their parent."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process; `started` tells it from a later one of the same id."""

    pid: int
    parent: int
    session: int
    started: int
    state: str


def processes() -> dict[int, Process]:
    """Every process of the machine that can be read."""
    found = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                pid = int(folder.name)
                found[pid] = Process(pid, int(fields[1]), int(fields[3]), int(fields[19]), fields[0])
    return found


class Tree:
    """All processes of a server: the root, its session, its descendants, and whoever carries its mark."""

    def __init__(self, root: int, mark: str) -> None:
        self._root, self._mark = root, f"{MARK}={mark}".encode()
        self._known: set[tuple[int, int]] = set()
        self._strangers: set[tuple[int, int]] = set()
        self.peak_rss_bytes = 0
        self.peak_pss_bytes = 0

    def members(self) -> list[int]:
        """Process ids, those included that belonged to it before they were left without a parent."""
        everyone = {pid: one for pid, one in processes().items() if one.state != "Z"}
        mine = {pid for pid, one in everyone.items() if self._belongs(one)}
        while True:
            more = {pid for pid, one in everyone.items() if one.parent in mine and pid not in mine}
            if not more:
                break
            mine |= more
        self._known |= {(pid, everyone[pid].started) for pid in mine}
        return sorted(mine)

    def _belongs(self, one: Process) -> bool:
        key = (one.pid, one.started)
        if key in self._known or self._root in {one.pid, one.session}:
            return True
        if key in self._strangers:
            return False
        with contextlib.suppress(OSError):
            if self._mark in (_PROC / str(one.pid) / "environ").read_bytes().split(b"\0"):
                return True
        # A process between fork and exec may still show its parent's environment, so only settled ones are noted.
        if one.parent != os.getpid():
            self._strangers.add(key)
        return False

    def sample_memory(self) -> int:
        """The resident bytes of all members now; the peak is kept. Shared pages count once for each process."""
        rss = sum(rss_bytes(pid) for pid in self.members())
        self.peak_rss_bytes = max(self.peak_rss_bytes, rss)
        return rss

    def sample_shared_memory(self) -> int:
        """The proportional bytes of all members now: shared pages count once in all. Dearer than sample_memory."""
        pss = sum(pss_bytes(pid) for pid in self.members())
        self.peak_pss_bytes = max(self.peak_pss_bytes, pss)
        return pss

    def signal(self, number: int) -> None:
        """Send a signal to each member."""
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self, *, patience_s: float) -> None:
        """Ask the root to leave, wait, then kill whoever is still there."""
        self.signal(signal.SIGCONT)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._root, signal.SIGTERM)
        deadline = time.monotonic() + patience_s
        while self._root in self.members() and time.monotonic() < deadline:
            time.sleep(0.05)
        deadline = time.monotonic() + patience_s
        while (left := self.members()) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


def rss_bytes(pid: int) -> int:
    """Resident bytes of one process; 0 when it has gone."""
    with contextlib.suppress(OSError, IndexError):
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


def pss_bytes(pid: int) -> int:
    """Proportional bytes of one process; 0 when it has gone."""
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def open_files(pids: Iterable[int]) -> int:
    """File descriptors that the processes hold."""
    return sum(_count(_PROC / str(pid) / "fd") for pid in pids)


def threads(pids: Iterable[int]) -> int:
    """Threads of the processes."""
    return sum(_count(_PROC / str(pid) / "task") for pid in pids)


def _count(folder: Path) -> int:
    with contextlib.suppress(OSError):
        return len(list(folder.iterdir()))
    return 0
