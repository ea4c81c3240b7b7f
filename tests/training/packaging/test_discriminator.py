from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bundle import sample_latents
from tests.fakes.foreign import (
    CLASSES,
    BatchMean,
    Critic,
    Dcgan,
    OneHot,
    OneHotCritic,
    export,
)
from tests.training.packaging.packaged import Z4, bundle_of, packaged, refusal, run
from training.players import CLASS_NOT_STATED, OnnxPlayers, open_session


@pytest.mark.parametrize("probability", [False, True])
@pytest.mark.parametrize("batch", [None, 1])
def test_a_discriminator_scores_as_it_did(tmp_path: Path, probability: bool, batch: int | None) -> None:  # noqa: FBT001 -- pytest's arguments
    g = export(Dcgan(), [Z4], tmp_path / "g.onnx", names=["input"])
    network, example = Critic(probability=probability), torch.randn(batch or 2, 3, 16, 16)
    d = export(network, [example], tmp_path / "d.onnx", names=["image"], dynamic=batch is None)
    bundle = bundle_of(g, "--discriminator", str(d), "--features-output", "/body/body.3/LeakyRelu_output_0")
    assert bundle.discriminator is not None
    assert bundle.manifest.calibration is None
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    floats = (images.astype(np.float32).transpose(0, 3, 1, 2) - 127.5) / 127.5
    scores = np.concatenate([run(d, {"image": floats[i : i + 1]}) for i in range(5)]).reshape(-1)
    logit, found, features = open_session(bundle.discriminator).run(None, {"image": images})
    expected = scores if probability else 1 / (1 + np.exp(-scores))
    assert found == pytest.approx(expected, abs=1e-5)
    assert 1 / (1 + np.exp(-logit)) == pytest.approx(expected, abs=1e-5)
    assert features.shape == (5, 16 * 4 * 4)
    assert bundle.manifest.discriminator is not None
    assert bundle.manifest.discriminator.outputs[2].shape == ("batch", 256)


@pytest.mark.parametrize("opset", [15, 18])
def test_a_conditional_discriminator_averages_over_classes_where_none_is_stated(tmp_path: Path, opset: int) -> None:
    g = export(OneHot(), [torch.randn(3, 8), torch.eye(CLASSES)], tmp_path / "g.onnx", names=["z", "label"])
    example = [torch.randn(2, 1, 16, 16), torch.tensor([0, 1])]
    critic = Critic(channels=1, classes=CLASSES)
    d = export(critic, example, tmp_path / "d.onnx", names=["image", "label"], opset=opset)
    bundle = bundle_of(g, "--discriminator", str(d), "--d-range", "-1,1")
    assert bundle.discriminator is not None
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), dtype=np.uint8)
    floats = (images.astype(np.float32).transpose(0, 3, 1, 2) - 127.5) / 127.5
    every = [run(d, {"image": floats, "label": np.full(4, number)}).reshape(-1) for number in range(CLASSES)]
    by_class = np.stack(every, axis=1)
    asked = np.array([2, 0, CLASS_NOT_STATED, 1])
    logit, probability, features = open_session(bundle.discriminator).run(None, {"image": images, "class_id": asked})
    assert logit[[0, 1, 3]] == pytest.approx(by_class[[0, 1, 3], asked[[0, 1, 3]]], abs=1e-5)
    assert logit[2] == pytest.approx(np.log(np.exp(by_class[2]).mean()), abs=1e-5)
    assert probability == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)
    assert features.shape == (4, 1)


@pytest.mark.parametrize("batch", [None, 1])
def test_a_discriminator_may_take_its_class_one_hot(tmp_path: Path, batch: int | None) -> None:
    g = export(OneHot(), [torch.randn(3, 8), torch.eye(CLASSES)], tmp_path / "g.onnx", names=["z", "label"])
    example = [torch.randn(batch or 2, 1, 16, 16), torch.eye(CLASSES)[: batch or 2]]
    names = ["image", "onehot"]
    d = export(OneHotCritic(), example, tmp_path / "d.onnx", names=names, dynamic=batch is None)
    players = OnnxPlayers(packaged(g, "--discriminator", str(d)))
    images = players.images(sample_latents(players.latent, range(3)), np.arange(3))
    floats = (images.astype(np.float32) / 255).transpose(0, 3, 1, 2)
    hot = np.eye(CLASSES, dtype=np.float32)
    expected = [run(d, {"image": floats[i : i + 1], "onehot": hot[i : i + 1]}).item() for i in range(3)]
    assert players.logits(images, np.arange(3)) == pytest.approx(expected, abs=1e-4)


def test_an_unconditional_discriminator_beside_a_conditional_generator_looks_away_from_the_class(
    tmp_path: Path,
) -> None:
    g = export(OneHot(), [torch.randn(3, 8), torch.eye(CLASSES)], tmp_path / "g.onnx", names=["z", "label"])
    d = export(Critic(channels=1), [torch.randn(2, 1, 16, 16)], tmp_path / "d.onnx", names=["image"])
    players = OnnxPlayers(packaged(g, "--discriminator", str(d)))
    images = players.images(sample_latents(players.latent, range(3)), np.arange(3))
    assert np.array_equal(players.logits(images, np.arange(3)), players.logits(images, np.full(3, CLASS_NOT_STATED)))


@pytest.mark.parametrize(
    ("network", "example", "flags", "complaint"),
    [
        (Critic(channels=1), [torch.randn(2, 1, 16, 16)], [], "the generator makes 16x16 with 3 channel(s)"),
        (Critic(patches=True), [torch.randn(2, 3, 16, 16)], [], None),
        (Critic(patches=True), [torch.randn(2, 3, 32, 32)], [], "takes images [?, 3, 32, 32]"),
        (Critic(classes=3), [torch.randn(2, 3, 16, 16), torch.tensor([0, 1])], [], "the generator has none"),
        (Critic(), [torch.randn(2, 3, 16, 16)], ["--features-output", "f"], "no tensor 'f'"),
        (Critic(), [torch.randn(2, 3, 16, 16)], ["--d-output", "f"], "has no 'f'"),
        (Critic(), [torch.randn(2, 3, 16, 16)], ["--d-scale", "probability"], "its scores reach from"),
        (
            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 1, 1), nn.Hardsigmoid()),
            [torch.randn(2, 3, 16, 16)],
            [],
            "--d-scale",
        ),
        (nn.Sequential(nn.Conv2d(3, 1, 4, 4)), [torch.randn(2, 3, 16, 16)], [], "[1, 4, 4] scores an image"),
        (
            nn.Sequential(BatchMean(), nn.Conv2d(3, 1, 16)),
            [torch.randn(2, 3, 16, 16)],
            [],
            "depends on its batch mates",
        ),
    ],
)
def test_what_a_discriminator_cannot_be(
    tmp_path: Path, network: nn.Module, example: list[torch.Tensor], flags: list[str], complaint: str | None
) -> None:
    g = export(Dcgan(), [Z4], tmp_path / "g.onnx", names=["input"])
    d = export(network, example, tmp_path / "d.onnx", names=["image", "label"][: len(example)])
    if complaint is None:
        assert bundle_of(g, "--discriminator", str(d), *flags).discriminator is not None
    else:
        assert complaint in refusal(g, "--discriminator", str(d), *flags)
