"""Overload, profile, models and the whole commands, small."""

import json
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from app.settings import Settings
from benchmarks import bare, service
from benchmarks.gpu.features import FEATURES, flags
from benchmarks.models import generator, in_half, parameter_count, write_bundle
from benchmarks.overload import recovery_s
from benchmarks.peers.work import Work
from benchmarks.profile import folded
from benchmarks.systems import ROOT
from tests.fakes.bundles import write_bundle as write_tiny_bundle
from tests.fakes.served import served

TINY_WIDTHS = (8, 4)


def _probes(*latencies_ms: float, status: str = "200") -> list[tuple[float, float, str]]:
    return [(60.0 + 0.1 * at, took_ms, status) for at, took_ms in enumerate(latencies_ms)]


def test_recovery_is_when_answers_stay_good_and_quick() -> None:
    timeline = [(59.9, 1.0, "200"), *_probes(900, 20, 800, 20, 20, 20)]
    assert recovery_s(timeline, end_s=60.0, normal_ms=50, in_a_row=3) == pytest.approx(0.3)


def test_quick_refusals_are_no_recovery() -> None:
    assert recovery_s(_probes(1, 1, 1, 1, status="503"), end_s=60.0, normal_ms=50, in_a_row=3) is None


def test_samples_are_added_up_by_thread_and_function() -> None:
    lines = [
        "thread (1): MainThread;<module> (x.py:1);parse (app/api/strict_json.py:9);loads (json.py:1) 30",
        "thread (1): MainThread;<module> (x.py:1);parse (app/api/strict_json.py:11);loads (json.py:2) 10",
        "thread (2): edge_0;encode (app/imaging.py:40) 60",
        "thread (2): edge_0;_worker (concurrent/futures/thread.py:81) 900",
        "thread (3): batcher;_work (app/batching.py:1);Condition.wait (threading.py:3) 900",
    ]
    first, second = folded(lines, requests_per_s=100, samples_per_s=100, seconds=10)
    assert (first.thread, first.function, first.share) == ("edge", "encode (app/imaging.py)", 0.6)
    assert first.microseconds_per_request == pytest.approx(600)
    assert second.function == "parse (app/api/strict_json.py) > loads"


def test_the_large_generator_has_fixed_weights_and_five_million_of_them() -> None:
    graph = generator()
    assert 5e6 < parameter_count(graph) < 25e6
    assert generator(TINY_WIDTHS, 8) == generator(TINY_WIDTHS, 8)
    shape = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).get_outputs()[0].shape
    assert shape == ["batch", 256, 256, 3]


def test_the_generated_bundle_is_one_that_the_service_serves(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, widths=TINY_WIDTHS, z_dim=8)
    with served(tmp_path) as registry:
        assert registry.get(None).label == "rgb256@1"
    assert write_bundle(tmp_path) == folder  # it is kept, not written again


def test_the_bare_session_is_measured_alone_and_with_encoding(tmp_path: Path) -> None:
    work = Work(write_tiny_bundle(tmp_path), threads=1)
    found = bare.measure(work, threads=1, encoders=2, seconds=0.01, batches=[1, 4], formats=["png", "npy"])
    assert [(limit.batch, limit.image_format) for limit in found] == [
        (batch, kind) for batch in (1, 4) for kind in ("none", "png", "npy")
    ]
    assert all(limit.images_per_s > 0 for limit in found)
    assert bare.best(found, "png").images_per_s == max(one.images_per_s for one in found if one.image_format == "png")


@pytest.mark.slow
def test_the_service_alone_can_be_measured_without_any_peer(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "models", name="mnist")
    words = ["--quick", "--systems", "ganserve", "--models", "mnist", "--mnist", str(bundle), "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as left:
        service.main(words)
    assert left.value.code == 0
    found = json.loads((tmp_path / "service-mnist.json").read_text())
    assert found["parity"] == {"mnist": {"ganserve": 0}}
    assert all(one["summary"]["errors"] == 0 for one in found["measurements"])
    assert "ganserve / bare session" in (tmp_path / "service-mnist.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("module", ["overload", "soak", "profile"])
def test_each_other_tool_runs_small(module: str, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "models", name="mnist")
    words = ["--quick", "--mnist", str(bundle)]
    words += ["--py-spy", str(tmp_path / "none")] if module == "profile" else ["--out", str(tmp_path)]
    command = [sys.executable, "-m", f"benchmarks.{module}", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "|" in done.stdout


@pytest.mark.slow
def test_the_gpu_run_passes_its_rehearsal_on_the_cpu(tmp_path: Path) -> None:
    done = subprocess.run(
        ["benchmarks/gpu/run.sh", "--dry-run", "--out", str(tmp_path)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (model,) = json.loads((tmp_path / "gpu.json").read_text())["models"].values()
    assert model["parity"]["equal_pixels_share"] == 1
    assert model["parity_fp16"]["kept"]
    assert model["features"].keys() == {*FEATURES, "fp16 bundle"}
    assert all(rate > 0 for effect in model["features"].values() for rate in effect.values())
    assert "| rgb256 | provider | CPUExecutionProvider |" in done.stdout


def test_each_gpu_feature_is_a_setting_and_is_switched_off_alone() -> None:
    assert {feature.setting for feature in FEATURES.values()} <= set(Settings.model_fields)
    everything = Settings.from_environment({}, **_as_settings(flags()))
    for name, feature in FEATURES.items():
        but_one = Settings.from_environment({}, **_as_settings(flags(without=name)))
        changed = {field for field in Settings.model_fields if getattr(but_one, field) != getattr(everything, field)}
        assert changed == {feature.setting}


def _as_settings(words: tuple[str, ...]) -> dict[str, str]:
    names, values = words[::2], words[1::2]
    return {name.removeprefix("--").replace("-", "_"): value for name, value in zip(names, values, strict=True)}


def test_a_bundle_in_half_precision_is_served_beside_its_original(tmp_path: Path) -> None:
    half = in_half(write_bundle(tmp_path / "whole", widths=TINY_WIDTHS, z_dim=8), tmp_path / "half")
    with served(tmp_path / "half") as registry:
        model = registry.get(None)
        assert (model.label, model.manifest.generator.precision) == ("rgb256@2", "float16")
    assert half == tmp_path / "half" / "rgb256" / "2"
