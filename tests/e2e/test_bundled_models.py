"""The bundled models do what the README and their cards promise."""

from pathlib import Path

import numpy as np
import pytest

from bundle import read_bundle, sample_latents
from training.data import load
from training.evaluate import recognise
from training.inversion import invert
from training.metrics.features import SHIPPED, load_extractor
from training.metrics.ranking import roc_auc
from training.players import CLASS_NOT_STATED, OnnxPlayers

ROOT = Path(__file__).parents[2]
LIMIT_BYTES = 8 * 2**20
MODELS = ["mnist", "fashion-mnist"]


def bundled(name: str) -> Path:
    """The highest version, which answers for the name alone."""
    return max((ROOT / "models" / name).iterdir(), key=lambda version: int(version.name))


@pytest.mark.parametrize("name", MODELS)
def test_a_bundled_model_is_whole_and_small_enough_for_git(name: str) -> None:
    folder = bundled(name)
    manifest = read_bundle(folder).manifest
    assert (manifest.name, str(manifest.version)) == (name, folder.name)
    assert manifest.discriminator is not None
    assert all(file.stat().st_size <= LIMIT_BYTES for file in folder.iterdir())


@pytest.mark.parametrize(("name", "least"), [("mnist", 95), ("fashion-mnist", 80)])
def test_generated_images_are_recognised_as_the_class_asked_for(name: str, least: int) -> None:
    players = OnnxPlayers(bundled(name))
    extractor = load_extractor(SHIPPED / f"{name}.safetensors")
    assert players.classes == extractor.classes
    found = recognise(players, extractor, truncation=1.0)
    assert found is not None
    assert found.images == 100
    assert min(found.by_class.values()) >= least, found.by_class


@pytest.mark.parametrize("name", MODELS)
def test_images_of_one_class_differ_from_seed_to_seed(name: str) -> None:
    players = OnnxPlayers(bundled(name))
    for class_id in range(10):
        made = players.images(sample_latents(players.latent, range(20)), np.full(20, class_id))
        assert np.abs(made.astype(float) - made.mean(axis=0)).mean() > 5


@pytest.mark.parametrize(("name", "accuracy"), [("mnist", 0.98), ("fashion-mnist", 0.88)])
def test_a_card_states_figures_that_a_model_may_be_shipped_with(name: str, accuracy: float) -> None:
    metrics = read_bundle(bundled(name)).manifest.metrics
    assert metrics["conditional_accuracy"].value >= accuracy
    coverage = metrics["coverage"]
    assert coverage.floor is not None
    assert coverage.value >= 0.92 * coverage.floor


def test_the_encoder_finds_the_class_of_a_digit_and_comes_near_it() -> None:
    bundle = read_bundle(bundled("mnist"))
    assert bundle.encoder is not None
    assert len(bundle.encoder) <= 2 * 2**20
    digits = load(ROOT / "tests" / "data" / "digits").held_out
    found = invert(bundle.encoder, OnnxPlayers(bundle.path), digits.images)
    assert found.errors.mean() <= 0.02
    assert np.mean(found.class_ids == digits.labels) >= 0.97
    assert bundle.manifest.metrics["inversion_error"].value <= 0.02


def test_a_version_with_an_encoder_makes_the_images_of_the_one_before_and_scores_them_alike() -> None:
    versions = [ROOT / "models" / "mnist" / "1", bundled("mnist")]
    assert versions[0] != versions[1]
    assert read_bundle(versions[0]).generator == read_bundle(versions[1]).generator
    digits = load(ROOT / "tests" / "data" / "digits").held_out.images
    unstated = np.full(len(digits), CLASS_NOT_STATED)
    first, second = (OnnxPlayers(version).logits(digits, unstated) for version in versions)
    assert np.array_equal(first, second)


def test_the_discriminator_tells_real_digits_from_noise() -> None:
    players = OnnxPlayers(bundled("mnist"))
    digits = load(ROOT / "tests" / "data" / "digits").held_out.images  # of the set that the model was never trained on
    noise = np.random.default_rng(1).integers(0, 256, size=(500, 28, 28, 1), dtype=np.uint8)
    real, fake = (players.logits(x, np.full(len(x), CLASS_NOT_STATED)) for x in (digits, noise))
    assert roc_auc(real, fake) >= 0.99
