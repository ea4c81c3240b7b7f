"""What clients and supervisors see of a device: its features in use, and its end."""

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engines.base import EngineLost
from app.main import create_app
from tests.app.api.conftest import Serve, settings_of
from tests.fakes.bundles import expected_pixels
from tests.fakes.client import running
from tests.fakes.spoiled import SpoiledEngines


def _lost(_: NDArray[Any]) -> NDArray[Any]:
    raise EngineLost("a session made anew failed as well")


def test_a_device_that_is_lost_turns_livez_so_that_the_process_is_restarted(
    models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engines = SpoiledEngines("image", _lost, armed=False)
    with running(create_app(settings_of(models), open_engine=engines)) as client:
        assert client.get("/livez").status_code == 200
        for engine in engines.opened:
            engine.armed = True
        with caplog.at_level(logging.ERROR):
            answer = client.post("/generate", json={"seeds": [1]})
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert client.get("/livez").status_code == 503


def test_buckets_buffers_and_batches_in_flight_change_no_image(models: Path, serve: Serve) -> None:
    client = serve(io_binding="on", batch_buckets="on", sessions=2, max_batch_size=8)
    order = {"seeds": list(range(11)), "model": "tiny@1"}
    answer = client.post("/generate", json=order, headers={"Accept": "application/x-npy"})
    images = np.load(io.BytesIO(answer.content))
    assert len(images) == 11
    for seed, image in enumerate(images):
        assert np.array_equal(image, expected_pixels(models / "tiny" / "1", seed))
