import asyncio
import io
import zipfile
from typing import Any

import httpx
import pytest

from tests.app.api.conftest import Serve
from tests.fakes.client import AppClient

MIB = 2**20
HIT = "cache;desc=hit"


def ask(client: AppClient, body: dict[str, Any], accept: str = "application/json") -> httpx.Response:
    response = client.post("/generate", json=body, headers={"Accept": accept})
    assert response.status_code == 200, response.text
    return response


def value(client: AppClient, series: str, **labels: str) -> float:
    found = client.service.metrics.registry.get_sample_value(series, labels)
    assert found is not None
    return found


def essence(response: httpx.Response) -> object:
    """An answer without its id and its times."""
    kind = response.headers["content-type"]
    if kind == "application/json":
        return {name: part for name, part in response.json().items() if name not in {"id", "timings_ms"}}
    if kind == "application/zip":
        with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
            return {name: archive.read(name) for name in archive.namelist() if name != "images.json"}
    return response.content


@pytest.mark.parametrize(
    ("body", "accept"),
    [
        ({"seed": 42}, "image/png"),
        ({"seed": 42, "truncation": 0.0}, "image/png"),
        ({"seed": 42, "truncation": -0.0}, "image/png"),
        ({"seed": 42, "class_id": 1}, "image/webp"),
        ({"seed": 42, "quality": 20}, "image/jpeg"),
        ({"seed": 42, "quality": 80}, "image/jpeg"),
        ({"seed": 42, "model": "plain"}, "image/png"),
        ({"seed": 42, "model": "tiny@1"}, "image/png"),
        ({"seeds": [1, 42, 1]}, "application/json"),
        ({"seeds": [2, 42, 3], "class_id": [0, 1, 2], "truncation": 0.5}, "application/json"),
        ({"seeds": [1, 42], "format": "npy"}, "application/json"),
        ({"seeds": [1, 42], "format": "webp"}, "application/zip"),
        ({"seeds": [1, 42], "layout": "grid"}, "image/png"),
        ({"seeds": [1, 42]}, "application/x-npy"),
        ({"seeds": [1, 42], "include": ["latents", "realness"]}, "application/json"),
        ({"seeds": [1, 42], "best_of": 2}, "application/json"),
        ({"seeds": [1, 42], "min_realness": 0.2}, "application/json"),
        ({"seeds": list(range(256)), "model": "plain"}, "application/json"),
    ],
)
def test_an_answer_is_the_same_without_a_cache_before_it_and_from_it(
    client: AppClient, serve: Serve, body: dict[str, Any], accept: str
) -> None:
    cached = serve(cache_bytes=MIB)
    ask(cached, {"seeds": [7, 42, 9]})
    ask(cached, {"seed": 42}, "image/png")
    ask(cached, {"seed": 42, "truncation": 0.0}, "image/png")
    without = ask(client, body, accept)
    answers = [ask(cached, body, accept), ask(cached, body, accept)]
    for answer in answers:
        assert essence(answer) == essence(without)
        for header in ("content-type", "x-model", "x-seed", "vary"):
            assert answer.headers.get(header) == without.headers.get(header)


@pytest.mark.parametrize(
    ("body", "accept"),
    [
        ({"seed": 42}, "image/png"),
        ({"seeds": [1, 42]}, "application/json"),
        ({"seeds": [1, 42]}, "application/zip"),
        ({"seeds": [1, 42], "layout": "grid"}, "image/png"),
    ],
)
def test_every_answer_has_the_png_level_of_the_settings(
    client: AppClient, serve: Serve, body: dict[str, Any], accept: str
) -> None:
    stored, cached = serve(png_level=0), serve(png_level=0, cache_bytes=MIB)
    assert essence(ask(stored, body, accept)) != essence(ask(client, body, accept))
    assert essence(ask(stored, body, accept)) == essence(ask(cached, body, accept))


def test_a_cache_is_off_unless_asked_for(client: AppClient) -> None:
    assert client.service.cache is None
    ask(client, {"seed": 11}, "image/png")
    assert HIT not in ask(client, {"seed": 11}, "image/png").headers["server-timing"]


def test_a_hit_says_so_and_runs_no_network(serve: Serve) -> None:
    client = serve(cache_bytes=MIB)
    assert HIT not in ask(client, {"seed": 3}, "image/png").headers["server-timing"]
    batches = value(client, "gan_batches_total", model="tiny")
    assert HIT in ask(client, {"seed": 3}, "image/png").headers["server-timing"]
    assert HIT in ask(client, {"seeds": [3, 3], "quality": 5}).headers["server-timing"]
    assert value(client, "gan_batches_total", model="tiny") == batches


def test_an_image_url_and_generate_share_what_they_made(serve: Serve) -> None:
    client = serve(cache_bytes=MIB)
    made = ask(client, {"seed": 3, "class_id": 1, "truncation": 0.5}, "image/jpeg")
    response = client.get("/images/tiny/3.jpg?class_id=1&truncation=0.5")
    assert HIT in response.headers["server-timing"]
    assert response.content == made.content
    assert HIT in client.get("/images/tiny@2/3.jpg?class_id=1&truncation=0.5").headers["server-timing"]
    assert HIT not in client.get("/images/tiny@1/3.jpg?class_id=1&truncation=0.5").headers["server-timing"]


def test_only_the_misses_of_a_request_are_run_in_one_batch(serve: Serve) -> None:
    client = serve(cache_bytes=MIB)
    ask(client, {"seeds": [1, 2]})
    rows, batches = value(client, "gan_batch_size_sum"), value(client, "gan_batches_total", model="tiny")
    response = ask(client, {"seeds": [2, 3, 1, 4, 3]})
    assert HIT not in response.headers["server-timing"]
    assert value(client, "gan_batch_size_sum") == rows + 2
    assert value(client, "gan_batches_total", model="tiny") == batches + 1


def test_hits_misses_and_images_are_counted_by_image(serve: Serve) -> None:
    client = serve(cache_bytes=MIB)
    assert value(client, "gan_cache_hits_total", model="tiny") == 0
    ask(client, {"seeds": [1, 2, 2]})
    ask(client, {"seeds": [2, 3]})
    assert value(client, "gan_cache_misses_total", model="tiny") == 3
    assert value(client, "gan_cache_hits_total", model="tiny") == 2
    assert value(client, "gan_images_total", model="tiny") == 5
    assert client.service.cache is not None
    assert value(client, "gan_cache_bytes") == client.service.cache.size_bytes > 0


def test_the_cache_keeps_within_its_bytes(serve: Serve) -> None:
    client = serve(cache_bytes=5000)
    for seed in range(40):
        ask(client, {"seed": seed}, "image/png")
    assert 0 < value(client, "gan_cache_bytes") <= 5000
    assert value(client, "gan_cache_evictions_total") > 20


@pytest.mark.parametrize(
    "body", [{"n": 1}, {"latents": [[0.0] * 6]}, {"seed": 1, "best_of": 2}, {"seed": 1, "min_realness": 0.0}]
)
def test_what_a_seed_alone_does_not_determine_is_neither_kept_nor_looked_for(
    serve: Serve, body: dict[str, Any]
) -> None:
    client = serve(cache_bytes=MIB)
    ask(client, body)
    assert value(client, "gan_cache_misses_total", model="tiny") == 0
    assert value(client, "gan_cache_bytes") == 0


@pytest.mark.parametrize("wrong", [{"truncation": 1.0}, {"class_id": 0}])
def test_a_wrong_field_is_refused_though_the_image_is_there(serve: Serve, wrong: dict[str, Any]) -> None:
    client = serve(cache_bytes=MIB)
    ask(client, {"seed": 1, "model": "plain"})
    assert client.post("/generate", json={"seed": 1, "model": "plain", **wrong}).status_code == 422


def test_equal_requests_at_the_same_time_are_run_once(serve: Serve) -> None:
    client = serve(cache_bytes=MIB)
    rows = value(client, "gan_batch_size_sum")

    async def crowd() -> list[httpx.Response]:
        asked = [client.asend("POST", "/generate", json={"seeds": [5, 6]}) for _ in range(20)]
        return list(await asyncio.gather(*asked))

    answers = client.portal.call(crowd)
    assert [answer.status_code for answer in answers] == [200] * 20
    assert len({str(essence(answer)) for answer in answers}) == 1
    assert value(client, "gan_batch_size_sum") == rows + 2
    assert value(client, "gan_cache_hits_total", model="tiny") == 38
