"""The slower measurements, on the shipped digits and players of which the answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bundle import LatentSpec
from tests.training.conftest import DIGITS
from training.data import ImageSet, Split, load
from training.errors import DataError
from training.evaluate import Yardstick, evaluate
from training.metrics.features import Channelwise, Extractor, train_extractor
from training.studies import classification_score, feature_probe, memorisation


class Repeater:
    """Players that show images of a data set: those of the asked class in turn, or all in order without classes."""

    has_discriminator = True

    def __init__(self, shown: ImageSet, *, conditional: bool = True) -> None:
        self._shown = shown
        self.latent = LatentSpec(distribution="normal", dim=2)
        self.shape = shown.shape
        self.classes = shown.classes if conditional else None

    def images(
        self, z: NDArray[np.float32], class_ids: NDArray[np.int64] | None, *, truncation: float = 1.0
    ) -> NDArray[np.uint8]:
        assert truncation == 1.0
        if class_ids is None or self._shown.labels is None:
            return self._shown.images[np.arange(len(z)) % len(self._shown)]
        chosen = []
        for number, class_id in enumerate(class_ids):
            of_class = np.flatnonzero(self._shown.labels == class_id)
            chosen.append(of_class[number % len(of_class)])
        return self._shown.images[chosen]

    def logits(self, images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        assert len(images) == len(class_ids)
        means: NDArray[np.float64] = images.mean(axis=(1, 2, 3), dtype=np.float64)
        return means

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        return images.reshape(len(images), -1)[:, ::3].astype(np.float64)


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory, digits: Split) -> Extractor:
    path = tmp_path_factory.mktemp("extractor") / "digits.safetensors"
    return train_extractor(digits.train, digits.held_out, path, epochs=8, seed=0, report=lambda _: None)


def test_a_generator_that_repeats_training_images_is_told_from_one_that_does_not(
    digits: Split, extractor: Extractor
) -> None:
    repeats, picture = memorisation(Repeater(digits.train), digits, extractor, images=100)
    assert repeats.value == 1.0
    height, width, channels = digits.train.shape
    assert picture.shape == (10 * height, 10 * width, channels)
    left, right = picture[:height, :width], picture[:height, width : 2 * width]
    assert np.array_equal(left, right)
    fresh, _ = memorisation(Repeater(digits.held_out), digits, extractor, images=100)
    assert fresh.value < 0.2


@pytest.mark.slow
def test_a_classifier_of_good_images_is_as_good_as_one_of_real_ones_and_of_bad_ones_is_not(digits: Split) -> None:
    good = classification_score(Repeater(digits.train), digits, images=300, epochs=15)
    assert good.floor is not None
    assert good.value > 0.4
    assert good.value == pytest.approx(good.floor, abs=0.2)
    assert digits.train.labels is not None
    wrong = replace(digits.train, labels=np.roll(digits.train.labels, 7))
    assert classification_score(Repeater(wrong), digits, images=300, epochs=15).value < 0.3


def test_a_probe_of_features_stands_beside_one_of_pixels(digits: Split) -> None:
    found = feature_probe(Repeater(digits.train), digits)
    assert found.floor is not None
    assert found.value > 0.6
    assert found.value == pytest.approx(found.floor, abs=0.15)


def test_classes_are_asked_for(digits: Split) -> None:
    with pytest.raises(DataError, match="needs classes"):
        classification_score(Repeater(digits.train, conditional=False), digits, images=20)


def test_real_training_images_score_their_own_floor(digits: Split, extractor: Extractor) -> None:
    count = len(digits.train)
    players = Repeater(digits.train, conditional=False)
    metrics = evaluate(players, digits, extractor, images=count).metrics
    for name in ("fid", "kid", "precision", "recall", "density", "coverage"):
        assert metrics[name].value == pytest.approx(metrics[name].floor, rel=1e-4), name
    assert metrics["coverage"].value > 0.6


def test_a_yardstick_gives_the_same_figures_as_looking_again(digits: Split, extractor: Extractor) -> None:
    players, real = Repeater(digits.train), Yardstick(digits, extractor)
    again = [evaluate(players, digits, extractor, images=40, yardstick=real).metrics for _ in range(2)]
    assert again[0] == again[1] == evaluate(players, digits, extractor, images=40).metrics


def test_stacked_digits_have_a_mode_for_every_three(digits: Split, extractor: Extractor) -> None:
    split = load(Path(f"stacked:{DIGITS}"))
    assert split.train.shape == (*digits.train.shape[:2], 3)
    assert (split.train.labels, split.train.classes) == (None, None)
    assert np.array_equal(split.train.images, load(Path(f"stacked:{DIGITS}")).train.images)
    judge = Channelwise(extractor)
    features, modes = judge(split.held_out.images[:20])
    one_by_one = [extractor(split.held_out.images[:20, :, :, c : c + 1])[1] for c in range(3)]
    assert modes.tolist() == (100 * one_by_one[0] + 10 * one_by_one[1] + one_by_one[2]).tolist()
    assert features.shape == (20, 384)
    metrics = evaluate(Repeater(split.train, conditional=False), split, judge, images=50).metrics
    assert 20 < metrics["modes"].value <= 50
    assert metrics["modes_divergence"].value > 2


def test_colour_images_are_not_stacked(tmp_path: Path) -> None:
    from PIL import Image  # noqa: PLC0415 -- this test alone draws

    for number in range(12):
        Image.new("RGB", (16, 16), (number * 20, 0, 255)).save(tmp_path / f"{number}.png")
    with pytest.raises(DataError, match="only grey images"):
        load(Path(f"stacked:{tmp_path}"), resolution=16)
