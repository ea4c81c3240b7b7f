"""What a type checker knows of the client; `make types` proves the half of it that no run can."""

import asyncio
from pathlib import Path
from typing import assert_type

import numpy as np
import pytest
from numpy.typing import NDArray

from ganserve_client import (
    Animation,
    AsyncClient,
    Client,
    Generation,
    InvalidRequest,
    Inverses,
    Models,
    ModelVersions,
    Scores,
)
from tests.client.conftest import KEY, Served
from tests.fakes.bundles import DIM


def test_every_method_has_the_type_of_its_answer(served: Served, tmp_path: Path) -> None:
    with Client(served.url, KEY) as client:
        found = client.generate(seed=1, class_id=[2], include=["realness"])
        assert_type(found, Generation)
        assert_type(found.images[0].data, bytes)
        assert_type(client.array(latents=np.zeros((1, DIM), np.float32), class_id=np.array([1])), NDArray[np.uint8])
        assert_type(client.archive(seeds=range(2), format="npy"), bytes)
        assert_type(client.image(1), bytes)
        assert_type(client.image_url(1, model="tiny"), str)
        path = tmp_path / "image.png"
        path.write_bytes(found.files[0])
        assert_type(client.discriminate([path, found.files[0]], include=["features"]), Scores)
        assert_type(client.invert([path, found.files[0]], budget=8, include=["image"]), Inverses)
        assert_type(client.interpolate(n=2, steps=1, fps=12.5), Animation)
        assert_type(client.models(), Models)
        assert_type(client.model("tiny"), ModelVersions)
        assert_type(client.ready(), bool)


def test_the_async_client_has_the_same_types(served: Served) -> None:
    async def draw() -> list[Generation]:
        async with AsyncClient(served.url, KEY) as client:
            assert_type(await client.live(), bool)
            return await asyncio.gather(*(client.generate(seed=seed) for seed in range(20)))

    assert [found.images[0].seed for found in asyncio.run(draw())] == list(range(20))


def test_a_misspelt_option_is_found_by_the_type_checker_and_by_the_service(served: Served) -> None:
    with Client(served.url, KEY) as client, pytest.raises(InvalidRequest, match="did you mean truncation"):
        client.generate(seed=1, truncatoin=0.5)  # type: ignore[call-arg]  # as the test's name has it
