import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engines.base import Engine
from app.errors import ModelLoadError, ModelNotFound, ProviderUnavailable, StartupError
from tests.fakes.bundles import edit_manifest, write_bundle
from tests.fakes.served import served
from tests.fakes.spoiled import SpoiledEngines


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def test_a_model_is_found_by_name_by_version_and_by_default(models: Path) -> None:
    for name, version in (("mnist", 1), ("mnist", 2), ("mnist", 10), ("faces", 3)):
        write_bundle(models, name=name, version=version)
    with served(models) as registry:
        assert [model.label for model in registry.models()] == ["faces@3", "mnist@10", "mnist@2", "mnist@1"]
        assert registry.get("mnist").label == "mnist@10"
        assert registry.get("mnist@2").label == "mnist@2"
        assert registry.get(None) is registry.default is registry.get("mnist")
        assert registry.alive
        assert registry.queue_depth("mnist") == 0


@pytest.mark.parametrize(
    "reference",
    ["", "nobody", "mnist@2", "mnist@", "mnist@01", "mnist@1 ", "@1", "mnist@-1", "../mnist", "MNIST", "m" * 99],
)
def test_what_is_not_served_is_not_found_and_not_repeated(models: Path, reference: str) -> None:
    write_bundle(models, name="mnist")
    with served(models) as registry, pytest.raises(ModelNotFound) as refusal:
        registry.get(reference)
    assert str(refusal.value).isascii()
    assert len(reference) < 3 or reference not in str(refusal.value)


@pytest.mark.parametrize(
    ("names", "wanted", "default"),
    [
        (["zebra"], None, "zebra@1"),
        (["aaa", "mnist"], None, "mnist@1"),
        (["bbb", "aaa"], None, "aaa@1"),
        (["bbb", "aaa"], "bbb", "bbb@1"),
        (["bbb", "aaa"], "bbb@1", "bbb@1"),
    ],
)
def test_the_default_model(models: Path, names: list[str], wanted: str | None, default: str) -> None:
    for name in names:
        write_bundle(models, name=name)
    with served(models, default_model=wanted) as registry:
        assert registry.default.label == default


def test_a_default_that_is_not_there_is_fatal(models: Path) -> None:
    write_bundle(models, name="aaa")
    with pytest.raises(ModelLoadError, match=r"'bbb' is not among aaa@1"), served(models, default_model="bbb"):
        pass


def test_a_live_model_tells_what_it_is(models: Path) -> None:
    folder = write_bundle(models, name="mnist", version=4)
    with served(models) as registry:
        model = registry.get("mnist")
        assert (model.name, model.version, model.path) == ("mnist", 4, folder)
        assert model.provider == "CPUExecutionProvider"
        assert len(model.digest) == 64
        assert model.discriminator is not None


@pytest.mark.parametrize(("has_one", "setting"), [(False, True), (True, False)])
def test_a_model_may_be_without_a_discriminator(models: Path, has_one: bool, setting: bool) -> None:  # noqa: FBT001
    write_bundle(models, discriminator=has_one)
    with served(models, discriminator=setting) as registry:
        assert registry.default.discriminator is None
        assert registry.alive


def test_folders_that_are_no_versions_are_left_alone(models: Path) -> None:
    write_bundle(models, name="mnist")
    (models / "mnist" / ".unfinished-x").mkdir()
    (models / "mnist" / "drafts").mkdir()
    (models / ".cache" / "1").mkdir(parents=True)
    (models / "README.md").write_text("models live here")
    with served(models) as registry:
        assert [model.label for model in registry.models()] == ["mnist@1"]


def _remove(folder: Path) -> None:
    shutil.rmtree(folder.parents[1])


def _empty(folder: Path) -> None:
    shutil.rmtree(folder.parent)


def _flip(folder: Path) -> None:
    path = folder / "generator.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _rename(folder: Path) -> None:
    folder.rename(folder.with_name("7"))


def _other_golden(folder: Path) -> None:
    other = write_bundle(folder.parents[2] / "others", seed=1)
    shutil.copy(other / "golden.npy", folder / "golden.npy")
    edit_manifest(folder, golden=json.loads((other / "manifest.json").read_text())["golden"])


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (_remove, "No such file"),
        (_empty, "no model bundle is there"),
        (_flip, "SHA-256"),
        (_rename, "the manifest says tiny/1"),
        (_other_golden, "golden images come out"),
    ],
)
def test_a_bundle_that_is_wrong_is_fatal_in_one_line(
    models: Path, break_it: Callable[[Path], None], message: str
) -> None:
    break_it(write_bundle(models))
    with pytest.raises(ModelLoadError, match=message) as refusal, served(models):
        pass
    assert "\n" not in str(refusal.value)


def test_one_bad_bundle_closes_the_good_ones(models: Path) -> None:
    write_bundle(models, name="aaa")
    _flip(write_bundle(models, name="bbb"))
    engines = SpoiledEngines("image", lambda image: image)
    with pytest.raises(ModelLoadError), served(models, open_engine=engines):
        pass
    assert [engine.closed for engine in engines.opened] == [True, True]


def _raise(_: NDArray[Any]) -> NDArray[Any]:
    raise RuntimeError("the graph's own message, with a path in it")


@pytest.mark.parametrize(
    ("output", "spoil", "message"),
    [
        ("image", lambda image: image ^ 128, "128 grey levels off, 1 are allowed"),
        ("image", lambda image: image.astype(np.float32), "makes float32"),
        ("image", lambda image: image[:-1], "the generator makes"),
        ("image", _raise, "a graph cannot be run: RuntimeError"),
        ("logit", lambda logit: logit * np.nan, "not finite"),
        ("features", lambda features: features + np.inf, "not finite"),
        ("logit", _raise, "a graph cannot be run: RuntimeError"),
    ],
)
def test_a_network_that_answers_wrongly_is_not_served(
    models: Path, output: str, spoil: Callable[[NDArray[Any]], NDArray[Any]], message: str
) -> None:
    write_bundle(models)
    engines = SpoiledEngines(output, spoil)
    with pytest.raises(ModelLoadError, match=message), served(models, open_engine=engines):
        pass
    assert engines.opened
    assert all(engine.closed for engine in engines.opened)


def test_a_network_within_the_golden_tolerance_is_served(models: Path) -> None:
    write_bundle(models)
    engines = SpoiledEngines("image", lambda image: image ^ 1)
    with served(models, open_engine=engines) as registry:
        assert registry.alive


def test_a_device_that_is_not_there_is_told_as_such(models: Path) -> None:
    write_bundle(models)

    def refuse(model: bytes, *, device: str, threads: int) -> Engine:
        raise ProviderUnavailable(f"no {device} for {len(model)} bytes on {threads}")

    with pytest.raises(ProviderUnavailable) as refusal, served(models, open_engine=refuse, device="cuda"):
        pass
    assert isinstance(refusal.value, StartupError)


def _last_row_rounds(values: NDArray[Any]) -> NDArray[Any]:
    spoiled = values.copy()
    if len(values) > 1:
        spoiled[-1] = spoiled[-1] ^ 1 if values.dtype == np.uint8 else np.nextafter(spoiled[-1], np.inf)
    return spoiled


@pytest.mark.parametrize(("output", "sizes"), [("image", (1, 64)), ("features", (64, 1)), ("other", (64, 64))])
def test_a_network_whose_bits_depend_on_the_batch_is_run_row_by_row(
    models: Path, output: str, sizes: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    write_bundle(models)
    with (
        caplog.at_level(logging.WARNING, logger="app.engines.admission"),
        served(models, open_engine=SpoiledEngines(output, _last_row_rounds)) as registry,
    ):
        model = registry.default
        assert model.discriminator is not None
        assert (model.generator.max_batch_size, model.discriminator.max_batch_size) == sizes
    assert len(caplog.records) == sizes.count(1)


def test_other_providers_are_warmed_at_the_largest_batch_and_promise_a_tolerance(models: Path) -> None:
    write_bundle(models)
    engines = SpoiledEngines("features", _last_row_rounds, provider="CUDAExecutionProvider")
    with served(models, open_engine=engines, max_batch_size=16) as registry:
        model = registry.default
        assert model.discriminator is not None
        assert (model.generator.max_batch_size, model.discriminator.max_batch_size) == (16, 16)
    for engine in engines.opened:
        assert {1, 2, 4, 8, 16} <= set(engine.batch_sizes)


@pytest.mark.parametrize("size", [1, 4, 16])
def test_a_device_that_makes_wrong_images_at_one_batch_size_is_refused(models: Path, size: int) -> None:
    write_bundle(models)

    def spoil(values: NDArray[Any]) -> NDArray[Any]:
        return 255 - values if len(values) == size else values

    engines = SpoiledEngines("image", spoil, provider="CUDAExecutionProvider")
    with (
        pytest.raises(ModelLoadError, match="grey levels off"),
        served(models, open_engine=engines, max_batch_size=16),
    ):
        pass
    assert all(engine.closed for engine in engines.opened)
