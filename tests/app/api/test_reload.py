import asyncio
import base64
import io
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.api.responses import ModelsResponse
from app.main import create_app
from tests.app.api.conftest import settings_of
from tests.fakes.bundles import expected_pixels, write_bundle
from tests.fakes.client import AppClient, running
from tests.fakes.gated import GatedEngines

KEY = "a-valid-key-123456"
SWAPS = 50


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def client(models: Path) -> Iterator[AppClient]:
    with running(create_app(settings_of(models, admin=True))) as client:
        yield client


def test_a_reload_tells_what_is_served_after_it(client: AppClient, models: Path) -> None:
    write_bundle(models, version=2)
    shutil.copytree(models / "tiny" / "2", models / "tiny" / "3")
    assert client.get("/models").json()["default"] == "tiny@1"
    response = client.post("/admin/reload")
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    found = ModelsResponse.model_validate(response.json())
    assert found.default == "tiny@2"
    assert [failure.model_dump() for failure in found.failed] == [
        {"name": "tiny", "version": 3, "reason": "the manifest says tiny/2"}
    ]
    assert client.get("/models").json() == response.json()
    told = client.get("/metrics").text
    assert 'gan_model_load_failures_total{model="tiny"} 1.0' in told
    assert told.count("gan_model_info{") == 2


def test_nothing_has_failed_to_begin_with(client: AppClient) -> None:
    assert client.get("/models").json()["failed"] == []


def test_there_is_no_admin_route_unless_asked_for(models: Path) -> None:
    with running(create_app(settings_of(models))) as client:
        assert client.post("/admin/reload").status_code == 404
        assert "/admin/reload" not in client.get("/openapi.json").json()["paths"]


def test_the_admin_route_is_described_where_it_is(client: AppClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/admin/reload"]["post"]
    assert set(operation["responses"]) == {"200", "401", "408", "413", "422", "429", "503", "504"}
    assert client.get("/admin/reload").status_code == 405


def test_the_admin_route_asks_for_a_key_where_there_are_keys(models: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(KEY)
    with running(create_app(settings_of(models, admin=True, api_keys_file=tmp_path / "keys"))) as client:
        assert client.post("/admin/reload").json()["code"] == "unauthorized"
        assert client.post("/admin/reload", headers={"X-API-Key": KEY}).status_code == 200


def test_a_body_that_nobody_asked_for_is_bounded(client: AppClient) -> None:
    assert client.post("/admin/reload", content=b"{}").status_code == 200
    assert client.post("/admin/reload", content=b"x" * 2000).status_code == 413


def test_while_draining_nothing_is_reloaded(client: AppClient) -> None:
    client.service.lifecycle.begin_drain()
    assert client.post("/admin/reload").json()["code"] == "draining"


def test_a_look_outlives_the_request_that_asked_for_it_and_the_service_stays_ready(models: Path) -> None:
    engines = GatedEngines()
    with running(create_app(settings_of(models, admin=True), open_engine=engines)) as client:
        write_bundle(models, version=2)
        engines.gate.clear()
        response = client.post("/admin/reload", headers={"X-Request-Timeout-Ms": "200"})
        assert response.json()["code"] == "deadline_exceeded"
        assert client.get("/readyz").json()["models"] == [{"model": "tiny@1", "provider": "CPUExecutionProvider"}]
        engines.gate.set()
        assert client.post("/admin/reload").json()["default"] == "tiny@2"


def test_a_request_that_is_under_way_ends_on_the_version_it_began_with(models: Path) -> None:
    engines = GatedEngines()
    expected = expected_pixels(models / "tiny" / "1", 7)
    with running(create_app(settings_of(models, admin=True), open_engine=engines)) as client:
        write_bundle(models, version=2, seed=1)
        client.post("/admin/reload")
        shutil.rmtree(models / "tiny" / "1")
        engines.gate.clear()

        async def ask() -> Any:  # noqa: ANN401 -- JSON
            # Several draws: most of its work is only submitted once its version has gone.
            wanted = {"model": "tiny@1", "seed": 7, "min_realness": 1, "max_attempts": 3, "format": "png"}
            asked = asyncio.ensure_future(client.asend("POST", "/generate", json=wanted))
            assert await asyncio.to_thread(engines.entered.acquire, timeout=30)
            listed = (await client.asend("POST", "/admin/reload")).json()
            assert [model["version"] for model in listed["models"]] == [2]
            assert (await client.asend("GET", "/models/tiny@1")).status_code == 404
            engines.gate.set()
            return await asked

        answer = client.portal.call(ask)
        assert (answer.status_code, answer.headers["x-model"]) == (200, "tiny@1")
        image = answer.json()["images"][0]
        if image["seed"] == 7:
            assert (pixels_of(image) == expected).all()
        assert image["attempts"] == 3
        assert all(engine.closed.wait(30) for engine in engines.opened[:2])


def pixels_of(image: dict[str, Any]) -> Any:  # noqa: ANN401 -- an array
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image["data"]))))[..., None]


class Load:
    """Requests that follow one another without pause, and every answer."""

    def __init__(self, client: AppClient) -> None:
        self._client = client
        self._changed = threading.Condition()
        self._stopping = False
        self.failures: list[str] = []
        self.images: list[tuple[str, dict[str, Any]]] = []
        self.labels: set[str] = set()

    async def run(self, number: int) -> None:
        """Ask until told to stop; each `number` asks for something else."""
        asked = 0
        while not self._stopping:
            asked += 1
            seed = (asked * 7 + number) % 20
            wanted: dict[str, Any] = {"seeds": list(range(seed, seed + 1 + number * 3))}
            if number == 2:
                wanted = {"seeds": [seed, seed + 1], "best_of": 4, "min_realness": 0.9, "max_attempts": 2}
            ready = await self._client.asend("GET", "/readyz")
            response = await self._client.asend("POST", "/generate", json=wanted)
            with self._changed:
                self.failures += [answer.text for answer in (ready, response) if answer.status_code != 200]
                if response.status_code == 200:
                    label = response.headers["x-model"]
                    self.labels.add(label)
                    self.images += [(label, image) for image in response.json()["images"]]
                self._changed.notify_all()

    def wait_for(self, label: str) -> None:
        """Until an answer has come from this version."""
        with self._changed:
            assert self._changed.wait_for(lambda: label in self.labels or self.failures, 30)

    def stop(self) -> None:
        """Ask for nothing more."""
        self._stopping = True


def test_fifty_swaps_under_load_fail_no_request_and_every_image_is_its_versions_own(
    models: Path, tmp_path: Path
) -> None:
    engines = GatedEngines()
    staged = {number: write_bundle(tmp_path / "staged", version=number, seed=number) for number in range(2, SWAPS + 2)}
    sources = {1: shutil.copytree(models / "tiny" / "1", tmp_path / "kept" / "1")}
    sources |= {number: shutil.copytree(path, tmp_path / "kept" / str(number)) for number, path in staged.items()}
    settings = settings_of(models, admin=True, max_batch_size=8)
    with running(create_app(settings, open_engine=engines)) as client:
        load = Load(client)
        tasks = [client.portal.start_task_soon(load.run, number) for number in range(3)]
        try:
            load.wait_for("tiny@1")
            for number, folder in staged.items():
                folder.rename(models / "tiny" / folder.name)
                (models / "tiny" / str(number - 1)).rename(models / "tiny" / f".{number - 1}")
                response = client.post("/admin/reload")
                assert [model["version"] for model in response.json()["models"]] == [number]
                load.wait_for(f"tiny@{number}")
                assert load.failures == []
        finally:
            load.stop()
        for task in tasks:
            task.result(30)
        assert load.failures == []
        assert load.labels == {f"tiny@{number}" for number in sources}
        assert all(engine.closed.wait(30) for engine in engines.opened[:-4])
        assert not any(engine.closed.is_set() for engine in engines.opened[-2:])
    made = {
        (label, image["seed"]): expected_pixels(sources[int(label.removeprefix("tiny@"))], image["seed"])
        for label, image in {(label, image["seed"]): (label, image) for label, image in load.images}.values()
    }
    assert len(load.images) > SWAPS
    for label, image in load.images:
        assert (pixels_of(image) == made[label, image["seed"]]).all(), label


def test_the_cache_never_answers_for_a_bundle_that_was_replaced(models: Path) -> None:
    def ask(client: AppClient) -> tuple[bytes, str]:
        response = client.post("/generate", json={"seed": 5, "class_id": 1}, headers={"Accept": "image/png"})
        with Image.open(io.BytesIO(response.content)) as image:
            return np.asarray(image).tobytes(), response.headers["server-timing"]

    with running(create_app(settings_of(models, admin=True, cache_bytes=2**20))) as client:
        folder = models / "tiny" / "1"
        before, _ = ask(client)
        again, timing = ask(client)
        assert before == again == expected_pixels(folder, 5, 1).tobytes()
        assert "cache" in timing
        shutil.rmtree(models / "tiny")
        write_bundle(models, seed=9)  # the same name and version, other weights
        assert client.post("/admin/reload").json()["failed"] == []
        after, timing = ask(client)
        assert after == expected_pixels(folder, 5, 1).tobytes() != before
        assert "hit" not in timing
