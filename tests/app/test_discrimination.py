import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.discrimination import Discrimination, discriminate
from app.errors import DiscriminatorUnavailable, InvalidRequest
from app.registry import LiveModel
from tests.fakes.bundles import FEATURES, edit_manifest, write_bundle
from tests.fakes.served import served


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveModel]:
    models = tmp_path_factory.mktemp("models")
    write_bundle(models)
    with served(models) as registry:
        yield registry.default


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (70, 8, 8, 1), dtype=np.uint8)


def score(model: LiveModel, pixels: NDArray[np.uint8], **how: Any) -> Discrimination:  # noqa: ANN401 -- any argument
    """The scores of pixels, made at once."""
    return asyncio.run(
        discriminate(model, pixels, **{"class_ids": None, "want_features": False, "deadline": None, **how})
    )


def test_every_image_gets_a_logit_and_a_realness_that_agree(model: LiveModel, pixels: NDArray[np.uint8]) -> None:
    found = score(model, pixels)
    assert len(found.scores) == 70
    logits = np.array([s.logit for s in found.scores])
    np.testing.assert_allclose([s.realness for s in found.scores], 1 / (1 + np.exp(-logits)), rtol=1e-5)
    assert found.calibrated
    assert found.inference_s > 0


def test_a_score_never_depends_on_the_images_beside_it(model: LiveModel, pixels: NDArray[np.uint8]) -> None:
    together = score(model, pixels, want_features=True).scores
    for row in (0, 1, 37, 69):
        (alone,) = score(model, pixels[row : row + 1], want_features=True).scores
        assert (alone.logit, alone.realness) == (together[row].logit, together[row].realness)
        assert np.array_equal(alone.features, together[row].features)  # type: ignore[arg-type]  # None would differ


def test_features_come_when_asked_for(model: LiveModel, pixels: NDArray[np.uint8]) -> None:
    assert score(model, pixels[:1]).scores[0].features is None
    features = score(model, pixels[:1], want_features=True).scores[0].features
    assert features is not None
    assert features.shape == (FEATURES,)
    assert features.dtype == np.float32


def test_a_stated_class_reaches_the_network_and_none_is_minus_one(model: LiveModel, pixels: NDArray[np.uint8]) -> None:
    one = pixels[:1]
    logits = {class_id: score(model, one, class_ids=[class_id]).scores[0].logit for class_id in range(3)}
    not_stated = score(model, one).scores[0].logit
    np.testing.assert_allclose([logits[c] - not_stated for c in range(3)], [1, 2, 3], rtol=1e-5)


def test_each_image_may_state_its_own_class(model: LiveModel, pixels: NDArray[np.uint8]) -> None:
    same = np.repeat(pixels[:1], 3, axis=0)
    logits = [s.logit for s in score(model, same, class_ids=[0, 1, 2]).scores]
    np.testing.assert_allclose(np.diff(logits), [1, 1], rtol=1e-5)


@pytest.mark.parametrize("class_id", [-1, 3, 2**70])
def test_a_class_out_of_range_is_refused(model: LiveModel, pixels: NDArray[np.uint8], class_id: int) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        score(model, pixels[:1], class_ids=[class_id])
    assert refusal.value.errors[0].location == "class_id"
    assert "0 to 2" in refusal.value.errors[0].message


def test_an_unconditional_model_scores_and_takes_no_class(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    write_bundle(tmp_path, conditional=False)
    with served(tmp_path) as registry:
        assert len(score(registry.default, pixels[:2]).scores) == 2
        with pytest.raises(InvalidRequest) as refusal:
            score(registry.default, pixels[:2], class_ids=[0, 0])
        assert "unconditional" in refusal.value.errors[0].message


def test_a_model_without_a_discriminator_scores_nothing(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    write_bundle(tmp_path, discriminator=False)
    with served(tmp_path) as registry, pytest.raises(DiscriminatorUnavailable):
        score(registry.default, pixels[:1])


def test_realness_that_was_never_calibrated_is_called_so(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    edit_manifest(write_bundle(tmp_path), calibration=None)
    with served(tmp_path) as registry:
        assert not score(registry.default, pixels[:1]).calibrated
