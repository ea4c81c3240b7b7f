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
    ("provider", "asked", "engines_a_network"),
    [
        (None, None, 1),
        (None, 3, 3),
        ("CUDAExecutionProvider", None, 2),
        ("TensorrtExecutionProvider", None, 2),
        ("CUDAExecutionProvider", 1, 1),
    ],
)
def test_a_gpu_gets_two_batches_in_flight_unless_told_otherwise(
    models: Path, provider: str | None, asked: int | None, engines_a_network: int
) -> None:
    write_bundle(models, discriminator=False)
    engines = SpoiledEngines("none", _unspoiled, provider=provider)
    with served(models, open_engine=engines, batches_in_flight=asked):
        assert len(engines.opened) == engines_a_network
    assert all(engine.closed for engine in engines.opened)


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

    with served(models, open_engine=opener, max_batch_size=8, batches_in_flight=2) as registry:
        asyncio.run(all_at_once(registry.default.generator))
