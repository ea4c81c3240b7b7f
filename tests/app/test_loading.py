import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.batching import Batcher
from app.engines.acceleration import Acceleration
from app.engines.onnx import open_engine
from bundle import LatentSpec, sample_latents
from tests.fakes.bundles import DIM, expected_pixels, write_bundle
from tests.fakes.served import served
from tests.fakes.spoiled import SpoiledEngines


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def _unspoiled(values: NDArray[Any]) -> NDArray[Any]:
    return values


@pytest.mark.parametrize(
    ("provider", "device", "asked", "devices"),
    [
        (None, "cpu", 1, ["cpu"]),
        (None, "cpu", 3, ["cpu"] * 3),
        ("CUDAExecutionProvider", "cuda", 0, ["cuda:0"] * 2),
        ("TensorrtExecutionProvider", "auto", 0, ["auto"] * 2),
        ("CUDAExecutionProvider", "cuda:1", 1, ["cuda:1"]),
        ("CUDAExecutionProvider", "cuda:0,cuda:1", 0, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        ("CUDAExecutionProvider", "cuda:0, cuda:1", 1, ["cuda:0", "cuda:1"]),
    ],
)
def test_every_device_gets_its_sessions(
    models: Path, provider: str | None, device: str, asked: int, devices: list[str]
) -> None:
    write_bundle(models, discriminator=False)
    engines = SpoiledEngines("none", _unspoiled, provider=provider)
    with served(models, open_engine=engines, device=device, sessions=asked, threads=1):
        assert engines.devices == devices
    assert all(engine.closed for engine in engines.opened)


@pytest.mark.parametrize("sessions", [0, 1, 2, 3])
@pytest.mark.parametrize("threads", [0, 1, 2])
def test_sessions_and_threads_change_no_image(models: Path, sessions: int, threads: int) -> None:
    folder = write_bundle(models, conditional=False)

    async def ask(batcher: Batcher) -> NDArray[Any]:
        z = sample_latents(LatentSpec(distribution="normal", dim=DIM), range(64))
        inputs = {"z": z, "truncation": np.ones(64, np.float32)}
        return (await batcher.submit(inputs, deadline=None)).outputs["image"]

    with served(models, device="cpu", sessions=sessions, threads=threads) as registry:
        images = asyncio.run(ask(registry.default.generator))
    assert all(np.array_equal(image, expected_pixels(folder, seed)) for seed, image in enumerate(images))


def test_rows_reach_their_requests_with_two_batches_in_flight(models: Path) -> None:
    folder = write_bundle(models, discriminator=False, conditional=False)
    acceleration = Acceleration(max_batch_size=8, io_binding="on", batch_buckets="on")
    opener = partial(open_engine, acceleration=acceleration)

    async def ask(batcher: Batcher, first: int, rows: int) -> None:
        z = sample_latents(LatentSpec(distribution="normal", dim=DIM), range(first, first + rows))
        inputs = {"z": z, "truncation": np.ones(rows, np.float32)}
        images = (await batcher.submit(inputs, deadline=None)).outputs["image"]
        for place, image in enumerate(images):
            assert np.array_equal(image, expected_pixels(folder, first + place))

    async def all_at_once(batcher: Batcher) -> None:
        await asyncio.gather(*[ask(batcher, 31 * number, 1 + number % 11) for number in range(60)])

    with served(models, open_engine=opener, max_batch_size=8, sessions=2) as registry:
        asyncio.run(all_at_once(registry.default.generator))
