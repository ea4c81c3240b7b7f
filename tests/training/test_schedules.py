import pytest
import torch

from training.chance import Purpose, seed_torch, stream
from training.schedules import cosine, linear_decay


def test_a_cosine_goes_from_start_to_end_and_stays() -> None:
    assert [cosine(2.0, 1.0, share) for share in (-1.0, 0.0, 0.5, 1.0, 7.0)] == pytest.approx([2, 2, 1.5, 1, 1])
    assert cosine(0.0, 1.0, 0.1) < 0.05  # slow at first


def test_a_linear_decay_begins_in_the_middle() -> None:
    assert [linear_decay(share) for share in (0.0, 0.5, 0.75, 1.0, 2.0)] == [1, 1, 0.5, 0, 0]


def test_chance_is_a_function_of_seed_purpose_and_images_alone() -> None:
    def draw(seed: int, purpose: Purpose, images: int) -> list[float]:
        return [float(number) for number in stream(seed, purpose, images).random(4)]

    first = draw(0, Purpose.DISCRIMINATOR_STEP, 64)
    assert draw(0, Purpose.DISCRIMINATOR_STEP, 64) == first
    others = [
        (1, Purpose.DISCRIMINATOR_STEP, 64),
        (0, Purpose.GENERATOR_STEP, 64),
        (0, Purpose.DISCRIMINATOR_STEP, 128),
    ]
    assert all(draw(*other) != first for other in others)


def test_torchs_own_chance_begins_anew_in_every_step_and_process() -> None:
    def draw(images: int, rank: int) -> list[float]:
        seed_torch(3, images, rank=rank)
        return [float(number) for number in torch.rand(4)]

    assert draw(0, 0) == draw(0, 0)
    assert len({tuple(draw(images, rank)) for images in (0, 64) for rank in (0, 1)}) == 4
