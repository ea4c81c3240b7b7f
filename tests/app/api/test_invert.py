import base64
import io
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.api.responses import InvertResponse
from app.imaging import encode
from tests.app.api.conftest import Serve
from tests.app.api.test_error_table import problem
from tests.fakes.bundles import DIM
from tests.fakes.client import AppClient


def generated(client: AppClient, seed: int, **fields: Any) -> bytes:  # noqa: ANN401 -- any JSON
    answer = client.post("/generate", json={"seed": seed, "model": "mirror", **fields}).json()
    return base64.b64decode(answer["images"][0]["data"])


def invert(client: AppClient, *images: bytes, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 -- any JSON
    body = {"images": [base64.b64encode(image).decode() for image in images], "model": "mirror", **fields}
    response = client.post("/invert", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    InvertResponse.model_validate(found)
    return found


def test_the_latent_that_is_found_makes_the_image_again(client: AppClient) -> None:
    upload = generated(client, 5, class_id=1)
    result = invert(client, upload, class_id=1, include=["image"])["results"][0]
    assert len(result["latent"]) == DIM
    assert result["error"] < 1e-5 < result["error_before"]
    assert 0 < result["evaluations"] <= 256
    again = {"latents": [result["latent"]], "class_id": result["class_id"], "model": "mirror"}
    made = client.post("/generate", json=again).json()["images"][0]
    pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in (made["data"], result["image"])]
    assert np.array_equal(pictures[0], pictures[1])
    apart = (pictures[0].astype(float) - np.asarray(Image.open(io.BytesIO(upload)))) / 255
    assert result["error"] == pytest.approx((apart**2).mean(), abs=1e-9)


def test_a_form_inverts_as_json_does(client: AppClient) -> None:
    images = [generated(client, 1), generated(client, 2)]
    fields = [("model", b"mirror"), ("budget", b"40"), ("class_id", b"0"), ("class_id", b"2"), ("include", b"image")]
    files = [("images", ("a.png", data)) for data in images] + [(name, (None, data)) for name, data in fields]
    response = client.post("/invert", files=files)
    assert response.status_code == 200, response.text
    assert response.headers["X-Model"] == "mirror@1"
    told = invert(client, *images, budget=40, class_id=[0, 2], include=["image"])
    assert response.json()["results"] == told["results"]


def test_the_same_image_has_the_same_inverse_every_time(client: AppClient) -> None:
    upload, other = generated(client, 3), generated(client, 4)
    first = invert(client, upload)["results"][0]
    assert invert(client, other, upload)["results"][1] == {**first, "index": 1}


def test_a_larger_budget_never_ends_further_away_than_the_encoder(client: AppClient) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 1), dtype=np.uint8)
    for budget in (0, 1, 10, 100):
        result = invert(client, encode(noise, "png", quality=90), budget=budget)["results"][0]
        assert result["error"] <= result["error_before"]
        assert result["evaluations"] <= budget


def test_an_unconditional_model_finds_no_class(client: AppClient) -> None:
    upload = generated(client, 3, model="plain-mirror")
    result = invert(client, upload, model="plain-mirror")["results"][0]
    assert result["class_id"] is None
    assert max(map(abs, result["latent"])) <= 1


def test_the_answer_says_what_was_changed_to_fit(client: AppClient) -> None:
    large = np.zeros((80, 100, 3), dtype=np.uint8)
    large[..., 0] = 200
    changes = invert(client, encode(large, "jpeg", quality=90), budget=0)["results"][0]["changes"]
    assert changes == ["converted RGB to grey", "resized 100x80 to 8x8"]


def test_models_say_whether_they_have_an_encoder(client: AppClient) -> None:
    listed = client.get("/models").json()["models"]
    assert {model["name"] for model in listed if model["encoder"]} == {"mirror", "plain-mirror"}


@pytest.mark.parametrize(
    ("fields", "location"),
    [
        pytest.param({"class_id": 3}, "class_id", id="a class that the model does not have"),
        pytest.param({"class_id": [0, 1]}, "class_id", id="more classes than images"),
        pytest.param({"model": "plain-mirror", "class_id": 0}, "class_id", id="a class for an unconditional model"),
        pytest.param({"budget": 2049}, "budget", id="a budget over the limit"),
        pytest.param({"budget": -1}, "budget", id="a negative budget"),
        pytest.param({"budget": "many"}, "budget", id="a budget in words"),
        pytest.param({"budget": 1.5}, "budget", id="half a candidate"),
        pytest.param({"include": ["features"]}, "include.0", id="something that there is not"),
        pytest.param({"images": []}, "images", id="no images"),
        pytest.param({"images": ["!"]}, "images.0", id="no base64"),
        pytest.param({"seed": 1}, "body", id="an unknown field"),
    ],
)
def test_a_wrong_field_is_422(client: AppClient, fields: dict[str, Any], location: str) -> None:
    body = {"images": [base64.b64encode(generated(client, 1)).decode()], "model": "mirror", **fields}
    found = problem(client.post("/invert", json=body), 422, "invalid_request")
    assert [error["location"] for error in found["errors"]] == [location]


def test_images_times_budget_is_bounded(serve: Serve) -> None:
    client = serve(max_inversion_evaluations=100)
    images = [base64.b64encode(generated(client, seed)).decode() for seed in (1, 2)]
    body = {"images": images, "model": "mirror", "budget": 50}
    assert client.post("/invert", json=body).status_code == 200
    found = problem(client.post("/invert", json=body | {"budget": 51}), 422, "invalid_request")
    assert found["errors"][0]["location"] == "budget"


def test_an_image_that_is_none_is_refused_as_elsewhere(client: AppClient) -> None:
    whole = generated(client, 1)
    for data, status, code in (
        (b"GIF89a", 415, "unsupported_media_type"),
        (whole[: len(whole) // 2], 422, "invalid_image"),
    ):
        files = [("images", ("a", data)), ("model", (None, b"mirror"))]
        problem(client.post("/invert", files=files), status, code)


def test_a_search_that_outlasts_its_deadline_is_504(client: AppClient) -> None:
    body = {
        "images": [base64.b64encode(generated(client, seed)).decode() for seed in range(8)],
        "model": "mirror",
        "budget": 2048,
    }
    began = time.monotonic()
    problem(client.post("/invert", json=body, headers={"X-Request-Timeout-Ms": "1"}), 504, "deadline_exceeded")
    assert time.monotonic() - began < 10


def test_inversions_count_as_an_endpoint_of_their_own(serve: Serve) -> None:
    client = serve()
    invert(client, generated(client, 1))
    assert 'gan_requests_total{code="200",endpoint="/invert"} 1.0' in client.get("/metrics").text
