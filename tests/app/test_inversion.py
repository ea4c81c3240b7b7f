import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engines.base import Arrays, Engine
from app.engines.onnx import open_engine
from app.errors import DeadlineExceeded, EncoderUnavailable, InvalidRequest, ModelFailure, ModelLoadError
from app.inversion import Inversion, invert
from app.registry import LiveModel
from tests.fakes.bundles import CLASSES, DIM, edit_manifest, expected_pixels, write_bundle
from tests.fakes.served import served


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("models"), encoder=True)


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[LiveModel]:
    with served(folder.parents[1]) as registry:
        yield registry.default


@pytest.fixture(scope="module")
def pixels(folder: Path) -> NDArray[np.uint8]:
    return np.stack([expected_pixels(folder, seed, seed % len(CLASSES)) for seed in range(20)])


def found(model: LiveModel, pixels: NDArray[np.uint8], **how: Any) -> Inversion:  # noqa: ANN401 -- any argument
    """The inverses of pixels, found at once."""
    return asyncio.run(invert(model, pixels, **{"class_ids": None, "budget": 64, "deadline": None, **how}))


class SpoiledEncoder:
    """A real engine whose z is NaN once `spoil` is set."""

    def __init__(self, engine: Engine, spoil: threading.Event) -> None:
        self._engine = engine
        self._spoil = spoil

    @property
    def provider(self) -> str:
        return self._engine.provider

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        outputs = self._engine.run(inputs)
        if self._spoil.is_set() and "z" in outputs:
            outputs["z"] = np.full_like(outputs["z"], np.nan)
        return outputs

    def close(self) -> None:
        self._engine.close()


def test_generated_images_are_found_again(model: LiveModel, pixels: NDArray[np.uint8]) -> None:
    inverses = found(model, pixels).inverses
    assert len(inverses) == 20
    for inverse in inverses:
        assert inverse.latent.shape == (DIM,)
        assert inverse.error <= inverse.error_before
        assert 0 < inverse.evaluations <= 64
    named = found(model, pixels, class_ids=[seed % len(CLASSES) for seed in range(20)]).inverses
    assert np.median([inverse.error for inverse in named]) < 1e-5


def test_without_a_budget_the_encoders_guess_is_the_answer(model: LiveModel, pixels: NDArray[np.uint8]) -> None:
    for inverse in found(model, pixels, budget=0).inverses:
        assert (inverse.error, inverse.evaluations) == (inverse.error_before, 0)


def test_an_inverse_never_depends_on_the_images_beside_it(model: LiveModel, pixels: NDArray[np.uint8]) -> None:
    together = found(model, pixels).inverses
    for row in (0, 7, 19):
        (alone,) = found(model, pixels[row : row + 1]).inverses
        assert np.array_equal(alone.latent, together[row].latent)
        assert (alone.error, alone.evaluations) == (together[row].error, together[row].evaluations)


def test_a_search_larger_than_the_queue_is_cut_into_parts(folder: Path, pixels: NDArray[np.uint8]) -> None:
    with served(folder.parents[1], max_queue_images=20, max_images_per_request=20) as registry:
        small = found(registry.default, pixels).inverses
    with served(folder.parents[1]) as registry:
        large = found(registry.default, pixels).inverses
    assert all(np.array_equal(a.latent, b.latent) for a, b in zip(small, large, strict=True))


def test_a_class_that_is_given_is_kept_and_one_that_is_not_is_found(
    model: LiveModel, pixels: NDArray[np.uint8]
) -> None:
    given = found(model, pixels[:3], class_ids=[2, 0, 1]).inverses
    assert [inverse.class_id for inverse in given] == [2, 0, 1]
    assert all(inverse.class_id in range(len(CLASSES)) for inverse in found(model, pixels).inverses)
    with pytest.raises(InvalidRequest):
        found(model, pixels[:1], class_ids=[3])


def test_an_unconditional_model_has_no_class_to_find(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, encoder=True, conditional=False, truncation=False, distribution="uniform")
    with served(tmp_path) as registry:
        (inverse,) = found(registry.default, expected_pixels(folder, 4)[None]).inverses
        assert inverse.class_id is None
        assert np.abs(inverse.latent).max() <= 1
        with pytest.raises(InvalidRequest):
            found(registry.default, expected_pixels(folder, 4)[None], class_ids=[0])


def test_a_passed_deadline_ends_the_search(model: LiveModel, pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(DeadlineExceeded):
        found(model, pixels, deadline=time.monotonic() - 1)


def test_a_model_without_encoder_says_so(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    write_bundle(tmp_path)
    with served(tmp_path) as registry, pytest.raises(EncoderUnavailable):
        found(registry.default, pixels)


def test_an_encoder_that_finds_nothing_finite_is_a_failure_of_the_model(
    folder: Path, pixels: NDArray[np.uint8]
) -> None:
    spoil = threading.Event()

    def open_spoiled(model: bytes, *, device: str, threads: int) -> Engine:
        return SpoiledEncoder(open_engine(model, device=device, threads=threads), spoil)

    with served(folder.parents[1], open_engine=open_spoiled) as registry:
        spoil.set()
        with pytest.raises(ModelFailure):
            found(registry.default, pixels)


def test_an_encoder_that_is_not_what_its_manifest_says_does_not_serve(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "models", encoder=True)
    other = write_bundle(tmp_path / "other", encoder=True, conditional=False)
    data = (other / "encoder.onnx").read_bytes()
    (folder / "encoder.onnx").write_bytes(data)
    encoder = json.loads((folder / "manifest.json").read_text())["encoder"]
    edit_manifest(folder, encoder={**encoder, "sha256": hashlib.sha256(data).hexdigest()})
    with pytest.raises(ModelLoadError, match="encoder's outputs"), served(tmp_path / "models"):
        pass
