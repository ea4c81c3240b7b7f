import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from app.catalogue import LoadFailure
from app.engines.onnx import open_engine
from app.errors import ModelLoadError, ModelNotFound, ProviderUnavailable
from app.metrics import Metrics
from app.registry import ModelRegistry
from app.settings import Settings
from tests.fakes.bundles import edit_manifest, write_bundle
from tests.fakes.gated import GatedEngines
from tests.fakes.served import served


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def labels(registry: ModelRegistry) -> list[str]:
    return [model.label for model in registry.models()]


def reasons(registry: ModelRegistry) -> dict[tuple[str | None, int | None], str]:
    return {(failure.name, failure.version): failure.reason for failure in registry.catalogue.failed}


def spoil(folder: Path) -> bytes:
    """Change one byte of the generator; returns what it was."""
    path = folder / "generator.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    return whole


def test_a_version_that_appears_is_served_and_one_that_goes_is_rolled_back(models: Path) -> None:
    write_bundle(models)
    with served(models) as registry:
        first = registry.default
        newer = write_bundle(models, version=2, seed=1)
        registry.reload()
        assert (labels(registry), registry.default.label) == (["tiny@2", "tiny@1"], "tiny@2")
        assert registry.get("tiny@1") is first
        newer.rename(newer.with_name(".2"))
        registry.reload()
        assert labels(registry) == ["tiny@1"]
        assert registry.default is first
        with pytest.raises(ModelNotFound):
            registry.get("tiny@2")
        assert registry.catalogue.failed == ()


def test_a_look_that_finds_nothing_new_loads_nothing(models: Path) -> None:
    folder = write_bundle(models)
    engines = GatedEngines()
    with served(models, open_engine=engines) as registry:
        before = registry.models()
        (folder / "README.md").write_text("a better card")
        registry.reload()
        assert registry.models() == before
        assert len(engines.opened) == 2


def test_the_old_version_is_the_default_until_the_new_one_is_warm(models: Path) -> None:
    write_bundle(models)
    engines = GatedEngines()
    with served(models, open_engine=engines) as registry:
        write_bundle(models, version=2)
        engines.gate.clear()
        look = threading.Thread(target=registry.reload)
        look.start()
        assert engines.entered.acquire(timeout=30)
        assert labels(registry) == ["tiny@1"]
        assert registry.alive
        engines.gate.set()
        look.join(30)
        assert registry.default.label == "tiny@2"


def test_a_model_in_use_is_closed_after_its_last_user_and_not_before(models: Path) -> None:
    first = write_bundle(models)
    engines = GatedEngines()
    with served(models, open_engine=engines) as registry:
        write_bundle(models, version=2)
        with registry.use("tiny") as one, registry.use("tiny@1") as same:
            shutil.rmtree(first)
            registry.reload()
            assert labels(registry) == ["tiny@2"]
            assert one is same
            assert one.alive
            assert not any(engine.closed.is_set() for engine in engines.opened)
        assert all(engine.closed.wait(30) for engine in engines.opened[:2])
        assert not any(engine.closed.is_set() for engine in engines.opened[2:])
        assert registry.alive
    assert all(engine.closed.is_set() for engine in engines.opened)


def test_what_is_retired_and_in_use_is_closed_with_the_registry(models: Path) -> None:
    first = write_bundle(models)
    engines = GatedEngines()
    with served(models, open_engine=engines) as registry, registry.use("tiny"):
        write_bundle(models, version=2)
        shutil.rmtree(first)
        registry.reload()
        registry.close()
        assert all(engine.closed.is_set() for engine in engines.opened)


def test_a_model_that_is_ready_after_the_end_is_closed_and_not_served(models: Path) -> None:
    write_bundle(models)
    engines = GatedEngines()
    with served(models, open_engine=engines) as registry:
        write_bundle(models, version=2)
        engines.gate.clear()
        look = threading.Thread(target=registry.reload)
        look.start()
        assert engines.entered.acquire(timeout=30)
        registry.close()
        engines.gate.set()
        look.join(30)
        assert registry.models() == []
        assert all(engine.closed.wait(30) for engine in engines.opened)


def _no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _half_a_graph(folder: Path) -> None:
    os.truncate(folder / "generator.onnx", 100)


def _no_discriminator(folder: Path) -> None:
    (folder / "discriminator.onnx").unlink()


def _misnamed(folder: Path) -> None:
    edit_manifest(folder, version=9)


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (_no_manifest, "manifest.json is not there yet"),
        (_half_a_graph, "generator.onnx: SHA-256 is "),
        (_no_discriminator, "discriminator.onnx: No such file or directory"),
        (_misnamed, "the manifest says tiny/9"),
    ],
)
def test_a_bundle_that_is_not_whole_is_not_served_and_is_once_it_is(
    models: Path, tmp_path: Path, break_it: Callable[[Path], None], reason: str
) -> None:
    write_bundle(models)
    whole = write_bundle(tmp_path / "whole", version=2)
    with served(models) as registry:
        folder = Path(shutil.copytree(whole, models / "tiny" / "2"))
        break_it(folder)
        for _ in range(3):
            registry.reload(retry_failed=False)
            assert labels(registry) == ["tiny@1"]
            ((key, told),) = reasons(registry).items()
            assert key == ("tiny", 2)
            assert told.startswith(reason)
            assert str(tmp_path) not in told
        shutil.copytree(whole, folder, dirs_exist_ok=True)
        registry.reload(retry_failed=False)
        assert labels(registry) == ["tiny@2", "tiny@1"]
        assert registry.catalogue.failed == ()


def test_a_version_that_is_replaced_in_place_is_kept_until_the_replacement_is_good(
    models: Path, tmp_path: Path
) -> None:
    folder = write_bundle(models)
    replacement = write_bundle(tmp_path / "other", seed=1)
    with served(models) as registry:
        before = registry.default
        shutil.copytree(replacement, folder, dirs_exist_ok=True)
        whole = spoil(folder)
        registry.reload()
        assert registry.default is before
        assert reasons(registry)["tiny", 1].startswith("generator.onnx: SHA-256 is ")
        (folder / "generator.onnx").write_bytes(whole)
        registry.reload()
        assert registry.default.digest != before.digest
        assert (labels(registry), registry.catalogue.failed) == (["tiny@1"], ())


def test_what_has_settled_into_failing_is_tried_again_on_request_or_once_it_changes(models: Path) -> None:
    write_bundle(models)
    engines = GatedEngines()
    with served(models, open_engine=engines) as registry:
        engines.fail_with = ModelLoadError("ONNX Runtime cannot load the graph: /build/onnxruntime/core.cc:1 no")
        folder = write_bundle(models, version=2)
        for _ in range(5):
            registry.reload(retry_failed=False)
        assert engines.refused == 2
        assert reasons(registry)["tiny", 2] == "ONNX Runtime cannot load the graph: (path) no"
        registry.reload()
        assert engines.refused == 3
        (folder / "README.md").touch()
        registry.reload(retry_failed=False)
        assert engines.refused == 4


@pytest.mark.parametrize("empty", [True, False])
def test_a_repository_that_vanishes_changes_nothing(models: Path, empty: bool) -> None:  # noqa: FBT001
    write_bundle(models, name="aaa")
    write_bundle(models, name="bbb")
    with served(models) as registry:
        before = registry.models()
        models.rename(models.with_name("away"))
        if empty:
            models.mkdir()
        registry.reload()
        assert registry.models() == before
        assert list(reasons(registry)) == [(None, None)]
        if empty:
            models.rmdir()
        models.with_name("away").rename(models)
        registry.reload()
        assert (registry.models(), registry.catalogue.failed) == (before, ())


def test_the_old_version_is_kept_when_what_should_replace_it_fails(models: Path) -> None:
    first = write_bundle(models)
    write_bundle(models, name="other")
    with served(models) as registry:
        spoil(write_bundle(models, version=2))
        shutil.rmtree(first)
        registry.reload()
        assert labels(registry) == ["other@1", "tiny@1"]
        assert set(reasons(registry)) == {("tiny", 2), ("tiny", 1)}
        assert "its folder is gone" in reasons(registry)["tiny", 1]


@pytest.mark.parametrize(("wanted", "kept"), [("tiny", "tiny@2"), ("tiny@2", "tiny@2")])
def test_the_default_model_that_was_set_cannot_be_taken_away(models: Path, wanted: str, kept: str) -> None:
    write_bundle(models, version=2)
    write_bundle(models, name="other")
    with served(models, default_model=wanted) as registry:
        shutil.rmtree(models / "tiny")
        registry.reload()
        assert registry.default.label == kept
        assert "requests that name no model need it" in reasons(registry)["tiny", 2]


def test_a_default_that_was_not_set_stays_while_it_is_there(models: Path) -> None:
    write_bundle(models, name="bbb")
    with served(models) as registry:
        write_bundle(models, name="aaa")
        write_bundle(models, name="mnist")
        registry.reload()
        assert registry.default.label == "bbb@1"
        shutil.rmtree(models / "bbb")
        registry.reload()
        assert registry.default.label == "mnist@1"


@pytest.mark.parametrize("error", [ProviderUnavailable("libcuda.so at /opt/secret"), RuntimeError("/opt/secret")])
def test_a_failure_of_the_machine_is_not_told_in_detail(
    models: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    write_bundle(models)
    engines = GatedEngines()
    with served(models, open_engine=engines) as registry:
        engines.fail_with = error
        write_bundle(models, version=2)
        registry.reload()
        assert "the log says why" in reasons(registry)["tiny", 2]
        assert "secret" not in reasons(registry)["tiny", 2]
    assert "secret" in caplog.text


def test_names_and_reasons_are_fit_to_be_shown() -> None:
    folder = Path("/models/caf\u00e9\udcff/3")
    failure = LoadFailure.of_folder(folder, f"{folder}: line\none, '/etc/x y' and {'z' * 999}")
    assert (failure.name, failure.version) == ("caf?", 3)
    assert failure.reason.startswith("line one, '(path) y' and zzz")
    assert len(failure.reason) == 300


@pytest.fixture
def counted(models: Path) -> Iterator[tuple[ModelRegistry, Metrics]]:
    write_bundle(models)
    write_bundle(models, name="other")
    metrics = Metrics(CollectorRegistry())
    settings = Settings.from_environment({}, models=models, device="cpu", threads=1)
    registry = ModelRegistry(settings, open_engine, metrics)
    registry.load_all()
    yield registry, metrics
    registry.close()


def versions_told(metrics: Metrics) -> set[str]:
    return {
        f"{sample.labels['name']}@{sample.labels['version']}"
        for family in metrics.model_info.collect()
        for sample in family.samples
    }


def test_metrics_tell_the_versions_that_are_served_and_count_failures(
    models: Path, counted: tuple[ModelRegistry, Metrics]
) -> None:
    registry, metrics = counted
    failures = "gan_model_load_failures_total"
    assert metrics.registry.get_sample_value(failures, {"model": "tiny"}) == 0
    spoil(write_bundle(models, version=2))
    write_bundle(models, version=3)
    registry.reload()
    assert versions_told(metrics) == {"other@1", "tiny@1", "tiny@3"}
    assert metrics.registry.get_sample_value(failures, {"model": "tiny"}) == 1
    shutil.rmtree(models / "tiny" / "3")
    registry.reload()
    assert versions_told(metrics) == {"other@1", "tiny@1"}
    assert metrics.registry.get_sample_value(failures, {"model": "tiny"}) == 2


def test_a_bundle_that_is_still_being_copied_is_not_counted_as_a_failure(
    models: Path, counted: tuple[ModelRegistry, Metrics]
) -> None:
    registry, metrics = counted
    _no_manifest(write_bundle(models, version=2))
    registry.reload()
    assert metrics.registry.get_sample_value("gan_model_load_failures_total", {"model": "tiny"}) == 0
    assert ("tiny", 2) in reasons(registry)


def test_a_model_that_is_gone_leaves_no_series_behind(models: Path, counted: tuple[ModelRegistry, Metrics]) -> None:
    registry, metrics = counted
    spoil(write_bundle(models, name="broken"))
    registry.reload()
    assert metrics.registry.get_sample_value("gan_model_load_failures_total", {"model": "broken"}) == 1
    with registry.use("other"):
        shutil.rmtree(models / "other")
        shutil.rmtree(models / "broken")
        registry.reload()
        metrics.images.labels("other").inc()
        assert metrics.registry.get_sample_value("gan_images_total", {"model": "other"}) == 1
    for thread in threading.enumerate():
        if thread.name == "model-closer":
            thread.join(30)
    told = {
        sample.labels.get("model", sample.labels.get("name"))
        for family in metrics.registry.collect()
        for sample in family.samples
    }
    assert told == {None, "tiny"}
