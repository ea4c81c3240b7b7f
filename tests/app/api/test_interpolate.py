import base64
import io
import json
import zipfile
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.api.responses import InterpolateResponse
from tests.app.api.conftest import Serve
from tests.app.api.test_error_table import problem
from tests.fakes.client import AppClient


def ask(client: AppClient, body: dict[str, Any], accept: str | None = None) -> httpx.Response:
    response = client.post("/interpolate", json=body, headers={"Accept": accept} if accept else None)
    assert response.status_code == 200, response.text
    return response


def frames(client: AppClient, body: dict[str, Any]) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = np.load(io.BytesIO(ask(client, body, "application/x-npy").content))
    return found


def test_a_walk_is_an_animation_unless_something_else_is_asked_for(client: AppClient) -> None:
    response = ask(client, {"seeds": [1, 2, 3], "steps": 4, "loop": True, "fps": 25})
    assert response.headers["content-type"] == "image/webp"
    assert response.headers["x-frames"] == "12"
    assert response.headers["x-seed"] == "1,2,3"
    assert response.headers["x-model"] == "tiny@2"
    assert "inference" in response.headers["server-timing"]
    image = Image.open(io.BytesIO(response.content))
    assert (image.format, getattr(image, "n_frames", 1), image.size) == ("WEBP", 12, (8, 8))


@pytest.mark.parametrize(("name", "kind"), [("gif", "GIF"), ("apng", "PNG"), ("webp", "WEBP")])
def test_every_format_by_field_and_by_accept(client: AppClient, name: str, kind: str) -> None:
    by_field = ask(client, {"seeds": [1, 2], "steps": 3, "format": name})
    by_accept = ask(client, {"seeds": [1, 2], "steps": 3}, f"image/{name}")
    assert by_field.content == by_accept.content
    assert by_field.headers["content-type"] == f"image/{name}"
    assert Image.open(io.BytesIO(by_field.content)).format == kind


def test_key_frames_are_the_images_of_their_seeds(client: AppClient) -> None:
    found = frames(client, {"seeds": [4, 5], "steps": 6, "class_id": 1, "truncation": 0.8})
    for index, seed in ((0, 4), (6, 5)):
        body = {"seed": seed, "class_id": 1, "truncation": 0.8}
        alone = client.post("/generate", json=body, headers={"Accept": "application/x-npy"})
        assert np.array_equal(np.load(io.BytesIO(alone.content))[0], found[index])


def test_a_loop_ends_one_step_before_its_beginning(client: AppClient) -> None:
    found = frames(client, {"seeds": [1, 2], "steps": 20, "loop": True, "class_id": 0}).astype(int)
    steps = np.abs(np.diff(np.concatenate([found, found[:1]]), axis=0)).mean(axis=(1, 2, 3))
    assert len(found) == 40
    assert steps[-1] <= 2 * steps[:-1].max()


def test_json_holds_the_animation(client: AppClient) -> None:
    found = ask(client, {"n": 2, "steps": 3, "scale": 2, "format": "gif"}, "application/json").json()
    InterpolateResponse.model_validate(found)
    record = found["animation"]
    assert (record["format"], record["frames"], record["width"], record["height"]) == ("gif", 4, 16, 16)
    image = Image.open(io.BytesIO(base64.b64decode(record["data"])))
    assert (image.format, image.size) == ("GIF", (16, 16))
    again = ask(client, {"seeds": record["seeds"], "steps": 3, "scale": 2, "format": "gif"})
    assert again.content == base64.b64decode(record["data"])


def test_a_zip_has_every_frame_and_says_how_each_was_made(client: AppClient) -> None:
    body = {"seeds": [1, 2], "steps": 2, "class_id": [0, 2]}
    archive = zipfile.ZipFile(io.BytesIO(ask(client, body, "application/zip").content))
    document = json.loads(archive.read("images.json"))
    InterpolateResponse.model_validate(document)
    assert document["animation"]["files"] == ["0000.png", "0001.png", "0002.png"]
    middle = Image.open(io.BytesIO(archive.read("0001.png")))
    latent = np.frombuffer(base64.b64decode(middle.info["latent"]), dtype="<f4").tolist()
    body = {"latents": [latent], "class_id": int(middle.info["class_id"])}
    again = client.post("/generate", json=body, headers={"Accept": "image/png"})
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(again.content))), np.asarray(middle))


def test_latents_are_keys_and_a_model_without_classes_or_truncation_walks_too(client: AppClient) -> None:
    keys = [[0.1] * 6, [0.5] * 6]
    found = frames(client, {"latents": keys, "steps": 2, "model": "plain", "mode": "lerp", "easing": "smooth"})
    assert found.shape == (3, 8, 6, 3)
    assert "x-seed" not in ask(client, {"latents": keys, "model": "plain"}).headers


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({}, "body"),
        ({"seeds": [1]}, "body"),
        ({"n": 1}, "body"),
        ({"seeds": [1, 2], "n": 2}, "body"),
        ({"seeds": [1, True]}, "seeds.1"),
        ({"seeds": []}, "seeds"),
        ({"latents": [[1.0, 2.0], [1.0, 2.0]]}, "latents"),
        ({"seeds": [1, 2], "steps": 0}, "steps"),
        ({"seeds": [1, 2], "steps": 513}, "steps"),
        ({"seeds": [1, 2], "steps": 500, "scale": 16, "model": "plain"}, None),
        ({"seeds": [1, 2], "class_id": 3}, "class_id"),
        ({"seeds": [1, 2], "class_id": [0]}, "class_id"),
        ({"seeds": [1, 2], "class_id": 0, "model": "plain"}, "class_id"),
        ({"seeds": [1, 2], "truncation": 0.5, "model": "plain"}, "truncation"),
        ({"seeds": [1, 2], "mode": "cubic"}, "mode"),
        ({"seeds": [1, 2], "easing": "bounce"}, "easing"),
        ({"seeds": [1, 2], "loop": 1}, "loop"),
        ({"seeds": [1, 2], "fps": 0.5}, "fps"),
        ({"seeds": [1, 2], "fps": 51}, "fps"),
        ({"seeds": [1, 2], "format": "mp4"}, "format"),
        ({"seeds": [1, 2], "scale": 17}, "scale"),
        ({"seeds": [1, 2], "best_of": 2}, "body"),
    ],
    ids=str,
)
def test_what_is_not_a_walk_is_422_and_names_the_field(
    client: AppClient, body: dict[str, Any], location: str | None
) -> None:
    response = client.post("/interpolate", json=body)
    if location is None:
        assert response.status_code == 200
    else:
        assert problem(response, 422, "invalid_request")["errors"][0]["location"] == location


def test_frames_and_their_pixels_are_limited(serve: Serve) -> None:
    client = serve(max_frames=10, max_animation_pixels=8 * 8 * 4 * 10)
    assert ask(client, {"seeds": [1, 2], "steps": 9, "scale": 2}).headers["x-frames"] == "10"
    too_many = problem(client.post("/interpolate", json={"seeds": [1, 2], "steps": 10}), 422, "invalid_request")
    assert "11 frames" in too_many["errors"][0]["message"]
    too_large = client.post("/interpolate", json={"seeds": [1, 2], "steps": 9, "scale": 3})
    assert problem(too_large, 422, "invalid_request")["errors"][0]["location"] == "scale"


def test_other_media_types_and_models_are_refused_as_everywhere(client: AppClient) -> None:
    keys = {"seeds": [1, 2]}
    problem(client.post("/interpolate", json=keys, headers={"Accept": "video/mp4"}), 406, "not_acceptable")
    plain = client.post("/interpolate", content=b"{}", headers={"Content-Type": "text/plain"})
    problem(plain, 415, "unsupported_media_type")
    problem(client.post("/interpolate", json=keys | {"model": "none"}), 404, "model_not_found")
    problem(client.get("/interpolate"), 405, "method_not_allowed")
    problem(client.post("/interpolate", json=keys, headers={"X-Request-Timeout-Ms": "0"}), 422, "invalid_request")


def test_walks_count_as_images_and_under_their_own_endpoint(serve: Serve) -> None:
    client = serve()
    ask(client, {"seeds": [1, 2], "steps": 6})
    page = client.get("/metrics").text
    assert 'gan_images_total{model="tiny"} 7.0' in page
    assert 'gan_requests_total{code="200",endpoint="/interpolate"} 1.0' in page
