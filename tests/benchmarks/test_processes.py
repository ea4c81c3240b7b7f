import os
import subprocess
import sys

from benchmarks.processes import MARK, Tree, open_files, processes, pss_bytes, rss_bytes, threads

# A child that leaves its parent, session and process group, as daemons do, and says so.
_DAEMON = (
    "import subprocess, sys;"
    "subprocess.Popen([sys.executable, '-c', 'import time; print(1, flush=True); time.sleep(600)'],"
    "start_new_session=True)"
)
_ROOT = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {_DAEMON!r}]); time.sleep(600)"


def test_a_tree_finds_and_ends_even_those_who_left_it() -> None:
    root = subprocess.Popen(
        [sys.executable, "-c", _ROOT],
        env={**os.environ, MARK: "processes-test"},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert root.stdout is not None
        assert root.stdout.readline() == b"1\n"
        tree = Tree(root.pid, "processes-test")
        members = tree.members()
        assert root.pid in members
        assert len(members) == 2
        assert tree.sample_memory() == tree.peak_rss_bytes > 0
        assert 0 < tree.sample_shared_memory() <= tree.peak_rss_bytes
    finally:
        Tree(root.pid, "processes-test").end(patience_s=10.0)
        root.communicate()
    left = processes()
    assert [pid for pid in members if pid in left and left[pid].state != "Z"] == []


def test_a_process_that_has_gone_holds_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    assert (rss_bytes(process.pid), pss_bytes(process.pid)) == (0, 0)
    assert (open_files([process.pid]), threads([process.pid])) == (0, 0)


def test_our_own_process_holds_something() -> None:
    assert rss_bytes(os.getpid()) > 2**20
    assert open_files([os.getpid()]) >= 3
    assert threads([os.getpid()]) >= 1
