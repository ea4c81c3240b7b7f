"""What is the same behind every peer, held to what the service does."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from app import imaging
from benchmarks.images import most_apart, pixels_of
from benchmarks.peers.settings import PeerSettings
from benchmarks.peers.work import Order, Work, encode, reply
from benchmarks.systems import OURS, Variant, one_model_folder, systems
from tests.fakes.bundles import expected_pixels, write_bundle

CHANCE = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_peers_and_the_service_put_the_same_pixels_into_a_png(channels: int) -> None:
    pixels = CHANCE.integers(0, 256, (1, 28, 28, channels), dtype=np.uint8)
    theirs = pixels_of(encode(pixels[0], "png"), "png", 1)
    ours = pixels_of(imaging.encode(pixels[0], "png", quality=90), "png", 1)
    np.testing.assert_array_equal(theirs, pixels)
    np.testing.assert_array_equal(ours, pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_peers_and_the_service_ask_jpeg_for_the_same_quality(channels: int) -> None:
    slopes = np.linspace(0, 255, 64 * 64 * channels).reshape(1, 64, 64, channels).astype(np.uint8)
    theirs = Image.open(io.BytesIO(encode(slopes[0], "jpeg")))
    ours = Image.open(io.BytesIO(imaging.encode(slopes[0], "jpeg", quality=90)))
    assert isinstance(theirs, JpegImageFile)
    assert isinstance(ours, JpegImageFile)
    # Pillow's own names for what was read from the files: the tables, and each plane's resolution.
    assert ours.quantization == theirs.quantization
    assert ours.layer == theirs.layer
    assert most_apart(np.asarray(ours), np.asarray(theirs)) <= 8


@pytest.mark.parametrize("conditional", [True, False])
def test_peers_make_the_images_of_the_bundle_however_requests_are_merged(tmp_path: Path, *, conditional: bool) -> None:
    bundle = write_bundle(tmp_path, conditional=conditional, channels=3)
    orders = [Order([1, 2], "png"), Order([3], "npy"), Order(range(4, 90), "png")]
    for order, rows in zip(orders, Work(bundle, threads=1).pixels(orders), strict=True):
        expected = np.stack([expected_pixels(bundle, seed) for seed in order.seeds])
        assert most_apart(rows, expected) <= 1


@pytest.mark.parametrize(("images", "image_format"), [(1, "png"), (3, "png"), (1, "npy"), (3, "npy")])
def test_answers_hold_the_pixels_that_went_in(images: int, image_format: str) -> None:
    rows = CHANCE.integers(0, 256, (images, 8, 8, 1), dtype=np.uint8)
    body = reply(rows, image_format).body
    assert most_apart(pixels_of(body, image_format, images), rows) == 0  # type: ignore[arg-type]


def test_an_answer_with_other_images_is_refused() -> None:
    rows = np.zeros((2, 8, 8, 1), np.uint8)
    with pytest.raises(ValueError, match="2 images were answered instead of 3"):
        pixels_of(reply(rows, "png").body, "png", 3)
    with pytest.raises(ValueError, match="JPEG was answered"):
        pixels_of(reply(rows[:1], "jpeg").body, "png", 1)
    with pytest.raises(ValueError, match="images of"):
        most_apart(rows, rows[:, :4])


def test_a_peer_is_told_what_it_was_configured_to(tmp_path: Path) -> None:
    settings = PeerSettings(tmp_path, 8123, threads=2, workers=3, max_batch_size=64, max_wait_ms=1.5)
    assert PeerSettings.from_environment(settings.environment()) == settings


def test_every_system_starts_from_a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANSERVE_MAX_BATCH_SIZE", "1")
    for system in systems(2).values():
        environment = system.environment(system.variants[0], tmp_path / "m" / "1", 8123)
        assert not [name for name in environment if name.startswith("GANSERVE_")]
        assert environment["BENCH_PORT"] == "8123"
        assert environment["PATH"] == os.environ["PATH"]


def test_the_service_is_measured_as_it_comes_and_the_peers_with_the_best_of_several() -> None:
    known = systems(4)
    assert known[OURS].variants == (Variant(),)
    assert all(len(known[name].variants) >= 2 for name in ("fastapi", "mosec", "litserve", "bentoml", "ray"))
    assert len(systems(1)["fastapi"].variants) == 1  # on one core there is nothing to choose


def test_a_bundle_is_measured_alone_in_its_folder(tmp_path: Path) -> None:
    write_bundle(tmp_path / "models", name="other")
    bundle = write_bundle(tmp_path / "models")
    copy = one_model_folder(bundle, tmp_path / "scratch")
    assert json.loads((copy / "manifest.json").read_text()) == json.loads((bundle / "manifest.json").read_text())
    assert [path.name for path in copy.parents[1].iterdir()] == ["tiny"]
