"""`ganserve bench` against real services in processes of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.bench.server import HOST, serve
from app.cli import main
from app.errors import StartupError
from app.settings import Settings
from tests.fakes.bundles import write_bundle

ROOT = Path(__file__).parents[3]
QUICK = ("--seconds", "0.2", "--warm-up", "0.1")


def _environment(**changes: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GANSERVE_")}
    return clean | {"PYTHONPATH": str(ROOT), "GANSERVE_DEVICE": "cpu", "GANSERVE_THREADS": "1"} | changes


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "models"
    write_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def url(models: Path) -> Iterator[str]:
    """A service that runs already."""
    with serve(_environment(GANSERVE_MODELS=str(models))) as served:
        yield f"http://{HOST}:{served.port}"


def bench(*arguments: str | Path, **environ: str) -> Result:
    unset = dict.fromkeys(name for name in os.environ if name.startswith("GANSERVE_"))
    runner = CliRunner(env={**unset, **_environment(**environ)})
    return runner.invoke(main, ["bench", *map(str, arguments)])


def _loads(result: Result) -> list[dict[str, Any]]:
    loads: list[dict[str, Any]] = json.loads(result.stdout)["loads"]
    return loads


@pytest.mark.slow
def test_a_service_of_its_own_is_started_measured_and_ended(models: Path) -> None:
    result = bench("--models", models, "--connections", "1", "4", "--seconds", "0.3", "--warm-up", "0.1", "--json")
    assert result.exit_code == 0, result.stderr
    loads = _loads(result)
    assert [load["connections"] for load in loads] == [1, 4]
    for load in loads:
        assert load["good"] > 0
        assert load["errors"] == 0
        assert load["images_per_s"] == pytest.approx(load["good"] / load["seconds"])
        assert 0 < load["p50_ms"] <= load["p90_ms"] <= load["p99_ms"]


@pytest.mark.slow
def test_a_running_service_is_measured_in_every_load_that_was_asked_for(url: str) -> None:
    result = bench("--url", url, *QUICK, "--connections", "1", "2", "--images", "1", "3", "--format", "npy")
    assert result.exit_code == 0, result.stderr
    head, *rows = result.stdout.splitlines()
    assert head.split()[:2] == ["connections", "images"]
    assert [row.split()[:2] for row in rows] == [["1", "1"], ["2", "1"], ["1", "3"], ["2", "3"]]


@pytest.mark.slow
def test_a_model_that_is_not_there_is_shown_as_404_and_fails(url: str) -> None:
    result = bench("--url", url, *QUICK, "--connections", "2", "--model", "nosuch")
    assert result.exit_code == 1
    assert "(404: " in result.stdout
    loads = _loads(bench("--url", url, *QUICK, "--connections", "2", "--model", "nosuch", "--json"))
    assert loads[0]["good"] == 0
    assert loads[0]["errors"] == loads[0]["statuses"]["404"] > 0


@pytest.mark.slow
def test_settings_that_keep_strangers_out_do_not_stop_a_measurement(models: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("0123456789abcdef\n")
    guarded = {"GANSERVE_API_KEYS_FILE": str(keys), "GANSERVE_RATE_LIMIT_PER_S": "1", "GANSERVE_LOG_LEVEL": "error"}
    result = bench("--models", models, *QUICK, "--connections", "1", "--json", **guarded)
    assert result.exit_code == 0, result.stderr
    assert _loads(result)[0]["errors"] == 0


@pytest.mark.slow
def test_wrong_settings_are_the_services_own_line(models: Path) -> None:
    result = bench("--models", models, GANSERVE_MAX_BATCHSIZE="8")
    assert result.exit_code == 1
    assert result.stdout == ""
    line = "Error: GANSERVE_MAX_BATCHSIZE is not a setting; did you mean GANSERVE_MAX_BATCH_SIZE?"
    assert result.stderr.splitlines()[-1] == line


@pytest.mark.slow
def test_a_service_that_ends_while_it_is_measured_is_an_error(models: Path) -> None:
    before = set(_children(os.getpid()))
    service = serve(_environment(GANSERVE_MODELS=str(models)))
    service.__enter__()
    (child,) = set(_children(os.getpid())) - before
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    with pytest.raises(StartupError, match="ended while it was measured"):
        service.__exit__(None, None, None)


@pytest.mark.slow
def test_a_search_prints_settings_that_the_service_takes(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned.env"
    result = bench("--models", models, "--tune", *QUICK, "--rounds", "1", "--connections", "1", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == out.read_text()
    lines = [line for line in result.stdout.splitlines() if not line.startswith("#")]
    Settings.from_environment(dict(line.split("=") for line in lines))
    assert "GANSERVE_THREADS=1 is left out" in result.stderr
    assert "about " in result.stderr
    assert "queue delay" in result.stderr


@pytest.mark.slow
def test_a_search_stops_at_once_where_the_model_is_not_there(models: Path) -> None:
    result = bench("--models", models, "--tune", *QUICK, "--connections", "1", "--model", "nosuch")
    assert result.exit_code == 1
    assert "no request was answered well (404: " in result.stderr.splitlines()[-1]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_measurement_and_the_service(models: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", "from app.cli import main; main()", "bench", "--models", str(models)]
    with subprocess.Popen(
        [*command, "--seconds", "300", "--connections", "2"],
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as measuring:
        assert measuring.stderr is not None
        for line in measuring.stderr:
            if line.startswith("connections 2"):
                break
        (child,) = _children(measuring.pid)
        measuring.send_signal(number)
        _, rest = measuring.communicate(timeout=30)
    assert measuring.returncode == 128 + number
    assert rest.splitlines()[-1] == "Aborted!"
    assert "Traceback" not in rest
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_an_address_where_nobody_listens_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    result = bench("--url", f"http://127.0.0.1:{port}", *QUICK)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"Error: cannot reach 127.0.0.1 port {port}: Connection refused"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", "https://localhost"],
        ["--url", "localhost:8000"],
        ["--url", "http://localhost:port"],
        ["--tune", "--url", "http://localhost:8000"],
        ["--out", "x.env"],
        ["--p99-limit-ms", "5"],
        ["--api-key-file", __file__],
        ["--connections", "1", "x"],
        ["--connections", "0"],
        ["--seconds", "1", "2"],
        ["1"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_a_usage_error(arguments: list[str]) -> None:
    result = bench(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_a_key_file_without_a_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# none\n\n")
    result = bench("--url", "http://localhost:8000", "--api-key-file", path)
    assert result.exit_code == 2
    assert "holds no key" in result.stderr
