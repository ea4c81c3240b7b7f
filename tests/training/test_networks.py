import pytest
import torch

from training.game import to_floats
from training.networks import FAMILIES
from training.networks.dcgan import stages
from training.report import pixels


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [0, 4])
def test_a_pair_maps_latents_to_images_to_logits(family: str, size: int, channels: int, classes: int) -> None:
    shape = (size, size, channels)
    generator = FAMILIES[family].generator(z_dim=6, shape=shape, classes=classes, width=32)
    discriminator = FAMILIES[family].discriminator(shape=shape, classes=classes, width=32)
    class_id = torch.tensor([0, 3, 1]) if classes else None
    images = generator(torch.randn(3, 6), class_id)
    assert images.shape == (3, channels, size, size)
    assert images.abs().max() <= 1
    assert discriminator(images, class_id).shape == (3,)
    assert discriminator.features(images).shape == (3, discriminator.feature_dim)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_class_changes_the_image_and_the_score(family: str) -> None:
    torch.manual_seed(0)
    generator = FAMILIES[family].generator(z_dim=6, shape=(28, 28, 1), classes=3, width=32).eval()
    discriminator = FAMILIES[family].discriminator(shape=(28, 28, 1), classes=3, width=32).eval()
    for norm in generator.modules():
        if isinstance(norm, torch.nn.Embedding):
            torch.nn.init.normal_(norm.weight)
    z = torch.randn(1, 6).expand(2, 6)
    zero, one = generator(z, torch.tensor([0, 1]))
    assert not torch.equal(zero, one)
    same = zero.expand(2, 1, 28, 28)
    scores = discriminator(same, torch.tensor([0, 1]))
    assert scores[0] != scores[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_score_in_eval_mode_never_depends_on_batch_mates(family: str) -> None:
    discriminator = FAMILIES[family].discriminator(shape=(28, 28, 1), classes=0, width=32).eval()
    image = torch.randn(1, 1, 28, 28)
    beside_black = discriminator(torch.cat([image, -torch.ones(7, 1, 28, 28)]))[0]
    assert discriminator(image)[0].item() == pytest.approx(beside_black.item(), abs=1e-6)


def test_a_score_without_a_class_is_the_log_mean_exp_over_classes() -> None:
    discriminator = FAMILIES["dcgan"].discriminator(shape=(28, 28, 1), classes=3, width=16).eval()
    image = torch.randn(2, 1, 28, 28)
    every = torch.stack([discriminator(image, torch.full((2,), c)) for c in range(3)], dim=1)
    assert torch.allclose(discriminator(image), every.exp().mean(dim=1).log(), atol=1e-6)


@pytest.mark.parametrize(("size", "halvings"), [(28, 2), (32, 3), (64, 4), (128, 5)])
def test_sizes_are_halved_down_to_a_small_map(size: int, halvings: int) -> None:
    assert stages(size) == halvings


@pytest.mark.parametrize("size", [30, 7, 100])
def test_a_size_that_does_not_halve_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="do not halve"):
        stages(size)


def test_every_grey_level_survives_the_way_to_floats_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    floats = to_floats(levels)
    assert floats.min() == -1
    assert floats.max() == 1
    assert torch.equal(pixels(floats), levels)
