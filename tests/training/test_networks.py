import pytest
import torch

from training.game import to_floats
from training.networks import FAMILIES
from training.networks.r3gan import Bottleneck
from training.networks.sizes import depths, stages
from training.report import pixels


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [28, 32, 64, 128])
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


def test_maps_are_half_as_deep_at_each_doubling_and_in_whole_groups() -> None:
    assert depths(96, 2) == [96, 48, 24]
    assert depths(128, 4, multiple=16) == [128, 64, 32, 16, 16]
    with pytest.raises(ValueError, match="no multiple of 16"):
        depths(40, 2, multiple=16)


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


def test_a_modern_pair_starts_with_blocks_that_change_nothing() -> None:
    block = Bottleneck(16, blocks=3)
    x = torch.randn(2, 16, 7, 7)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.project.weight.grad is not None
    assert block.project.weight.grad.any()  # and yet it can leave zero


@pytest.mark.parametrize("family", ["dcgan", "sngan"])
def test_a_discriminator_without_spectral_norm_has_plain_weights(family: str) -> None:
    for wanted in (True, False):
        network = FAMILIES[family].discriminator(shape=(28, 28, 1), classes=3, width=16, spectral_norm=wanted)
        assert any("parametrizations" in name for name, _ in network.named_parameters()) == wanted


def test_more_blocks_make_a_deeper_modern_pair() -> None:
    sizes = []
    for blocks in (1, 2):
        generator = FAMILIES["r3gan"].generator(z_dim=6, shape=(28, 28, 1), classes=0, width=32, blocks=blocks)
        sizes.append(sum(isinstance(module, Bottleneck) for module in generator.modules()))
    assert sizes == [3, 6]


def test_the_reference_network_of_the_study_has_its_layers() -> None:
    generator = FAMILIES["infogan"].generator(z_dim=64, shape=(28, 28, 1), classes=0, width=128)
    shapes = [tuple(p.shape) for name, p in generator.named_parameters() if p.dim() > 1]
    assert shapes == [(1024, 64), (6272, 1024), (128, 64, 4, 4), (64, 1, 4, 4)]
    discriminator = FAMILIES["infogan"].discriminator(shape=(28, 28, 1), classes=0, width=128)
    shapes = [tuple(p.shape) for name, p in discriminator.named_parameters() if p.dim() > 1]
    assert shapes == [(64, 1, 4, 4), (128, 64, 4, 4), (1024, 6272), (1, 1024)]
