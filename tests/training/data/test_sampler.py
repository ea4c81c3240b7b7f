import numpy as np

from training.data import Sampler


def test_sampler_shows_every_image_once_an_epoch() -> None:
    sampler = Sampler(10, seed=1)
    first = np.concatenate([sampler.take(4), sampler.take(6)])
    second = sampler.take(10)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first.tolist() != second.tolist()


def test_sampler_goes_on_from_its_position() -> None:
    whole, stopped = Sampler(10, seed=1), Sampler(10, seed=1)
    stopped.take(7)
    resumed = Sampler(10, seed=1, position=stopped.position)
    assert whole.take(25)[7:].tolist() == resumed.take(18).tolist()
