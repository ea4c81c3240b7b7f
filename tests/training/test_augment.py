import pytest
import torch

from training.augment import KINDS, NUMBERS, AdaptiveProbability, augment, colour, cutout, flip, rotation, translation


def _chance(*numbers: float, rows: int = 1) -> torch.Tensor:
    return torch.tensor([[*numbers, *[0.0] * (4 - len(numbers))]]).repeat(rows, 1)


def _ramp(size: int = 8) -> torch.Tensor:
    return torch.linspace(-1, 1, size * size).view(1, 1, size, size)


@pytest.mark.parametrize("kind", KINDS)
def test_at_probability_0_nothing_changes_and_at_1_something_does(kind: str) -> None:
    images = torch.rand(16, 3, 8, 8) * 2 - 1
    chance = torch.rand(16, 1, NUMBERS, generator=torch.Generator().manual_seed(1))
    assert torch.equal(augment(images, [kind], chance, probability=0.0), images)
    changed = augment(images, [kind], chance, probability=1.0)
    assert changed.shape == images.shape
    assert (changed != images).flatten(1).any(dim=1).float().mean() > 0.4


def test_each_image_decides_for_itself_with_the_probability() -> None:
    images = torch.rand(2000, 1, 4, 4)
    chance = torch.rand(2000, 1, NUMBERS, generator=torch.Generator().manual_seed(1))
    changed = (augment(images, ["colour"], chance, probability=0.3) != images).flatten(1).any(dim=1)
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_reaches_the_image(kind: str) -> None:
    images = (torch.rand(3, 3, 8, 8).double() * 2 - 1).requires_grad_()
    chance = torch.rand(3, 1, NUMBERS, generator=torch.Generator().manual_seed(2)).double()
    assert torch.autograd.gradcheck(lambda x: augment(x, [kind], chance, probability=1.0), (images,))
    second = (augment(images, [kind], chance, probability=1.0).square() / 2).sum()
    (gradient,) = torch.autograd.grad(second, images, create_graph=True)
    assert gradient.requires_grad  # penalties look through it


def test_a_translation_moves_whole_pixels_and_lets_black_in() -> None:
    image = _ramp()
    assert torch.equal(translation(image, _chance(0.5, 0.5)), image)
    down = translation(image, _chance(0.99, 0.5))
    assert torch.equal(down[:, :, 1:], image[:, :, :-1])
    assert (down[:, :, 0] == -1).all()
    left = translation(image, _chance(0.5, 0.0))
    assert torch.equal(left[..., :-1], image[..., 1:])
    assert (left[..., -1] == -1).all()


def test_a_cutout_covers_a_quarter_of_the_image_and_less_at_the_edge() -> None:
    image = torch.ones(1, 1, 8, 8)
    assert (cutout(image, _chance(0.5, 0.5)) == 0).sum() == 16
    assert 4 <= (cutout(image, _chance(0.0, 0.0)) == 0).sum() < 16


def test_colour_shifts_by_half_the_unit_and_scales_contrast_about_the_mean() -> None:
    image = _ramp()
    assert torch.allclose(colour(image, _chance(1.0, 0.5, 0.5)), image + 0.5, atol=1e-6)
    assert torch.allclose(colour(image, _chance(0.5, 0.5, 1.0)), image * 1.5, atol=1e-6)
    rgb = torch.stack([image[0, 0], -image[0, 0], 0 * image[0, 0]])[None]
    assert torch.allclose(colour(rgb, _chance(0.5, 0.0, 0.5)), torch.zeros_like(rgb), atol=1e-6)  # no saturation: grey


def test_a_flip_mirrors_one_image_in_two_and_only_where_it_is_named() -> None:
    image = _ramp()
    assert torch.equal(flip(image, _chance(0.4)), image.flip(3))
    assert torch.equal(flip(image, _chance(0.6)), image)
    others = [kind for kind in KINDS if kind != "flip"]
    lopsided = torch.full((64, 1, 16, 16), -1.0)
    lopsided[..., 3] = 1.0  # a bar on the left stays on the left
    chance = torch.rand(64, len(others), NUMBERS, generator=torch.Generator().manual_seed(3))
    seen = augment(lopsided, [kind for kind in others if kind not in {"cutout", "colour"}], chance, probability=1.0)
    assert (seen[..., :8].sum(dim=(1, 2, 3)) > seen[..., 8:].sum(dim=(1, 2, 3))).all()


def test_no_rotation_at_all_is_the_identity() -> None:
    image = _ramp(16)
    assert torch.allclose(rotation(image, _chance(0.5, 0.5)), image, atol=1e-5)
    assert not torch.allclose(rotation(image, _chance(1.0, 0.5)), image, atol=0.05)


def test_the_probability_rises_while_d_is_too_sure_and_falls_back() -> None:
    controller = AdaptiveProbability(target=0.6)
    for _ in range(4):
        controller.saw(0.9, images=1000)
    assert controller.probability == pytest.approx(4000 / 500_000)
    for _ in range(3):
        controller.saw(0.1, images=1000)
    assert controller.probability == pytest.approx(4000 / 500_000)  # it decides once every four batches
    controller.saw(0.1, images=1000)
    assert controller.probability == 0.0
    for _ in range(8):
        controller.saw(0.1, images=1000)
    assert controller.probability == 0.0
