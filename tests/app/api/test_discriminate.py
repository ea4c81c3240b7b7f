import base64
import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.api.responses import DiscriminateResponse
from app.imaging import encode
from tests.fakes.client import AppClient


def noise(seed: int, shape: tuple[int, int, int] = (8, 8, 1)) -> NDArray[np.uint8]:
    return np.random.RandomState(seed).randint(0, 256, shape, dtype=np.uint8)


def png(seed: int) -> bytes:
    return encode(noise(seed), "png", quality=90)


def score(client: AppClient, *images: bytes, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 -- any JSON
    body = {"images": [base64.b64encode(image).decode() for image in images], **fields}
    response = client.post("/discriminate", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    DiscriminateResponse.model_validate(found)
    return found


def test_a_score_is_a_logit_and_a_probability_per_image(client: AppClient) -> None:
    found = score(client, png(1), png(2))
    assert [result["index"] for result in found["results"]] == [0, 1]
    for result in found["results"]:
        assert result["realness"] == pytest.approx(1 / (1 + np.exp(-result["logit"])), abs=1e-5)
        assert result["changes"] == []
        assert "features" not in result
    assert found["calibrated"] is True
    assert found["model"]["name"] == "tiny"


def test_a_form_scores_as_json_does(client: AppClient) -> None:
    files = [("images", ("a.png", png(1))), ("images", ("b.png", png(2)))]
    response = client.post("/discriminate", files=files)
    assert response.status_code == 200, response.text
    assert response.json()["results"] == score(client, png(1), png(2))["results"]


def test_a_form_may_name_model_class_and_features(client: AppClient) -> None:
    files = [
        ("model", (None, b"tiny@1")),
        ("images", ("a.png", png(1))),
        ("class_id", (None, b"2")),
        ("include", (None, b"features")),
    ]
    response = client.post("/discriminate", files=files)
    assert response.status_code == 200, response.text
    assert (
        response.json()["results"] == score(client, png(1), model="tiny@1", class_id=2, include=["features"])["results"]
    )
    assert response.headers["X-Model"] == "tiny@1"


def test_a_form_may_state_a_class_per_image(client: AppClient) -> None:
    files = [("images", ("a.png", png(1)))] * 2 + [("class_id", (None, b"0")), ("class_id", (None, b"2"))]
    response = client.post("/discriminate", files=files)
    assert response.json()["results"] == score(client, png(1), png(1), class_id=[0, 2])["results"]


def test_the_class_that_is_stated_counts(client: AppClient) -> None:
    logits = [score(client, png(1), class_id=class_id)["results"][0]["logit"] for class_id in (0, 1)]
    assert logits[1] - logits[0] == pytest.approx(1, abs=1e-4)
    unstated = score(client, png(1))["results"][0]["logit"]
    assert unstated == pytest.approx(logits[0] - 1, abs=1e-4)


def test_features_come_when_asked_for(client: AppClient) -> None:
    assert len(score(client, png(1), include=["features"])["results"][0]["features"]) == 4


def test_an_image_scores_the_same_alone_and_in_company(client: AppClient) -> None:
    together = score(client, *[png(seed) for seed in range(40)])["results"]
    for seed in (0, 17, 39):
        alone = score(client, png(seed))["results"][0]
        assert alone["logit"] == pytest.approx(together[seed]["logit"], abs=1e-5)


def test_the_answer_says_what_was_changed_to_fit(client: AppClient) -> None:
    large = encode(noise(1, (80, 100, 3)), "jpeg", quality=90)
    assert score(client, png(1), large)["results"][1]["changes"] == ["converted RGB to grey", "resized 100x80 to 8x8"]


def test_a_generated_image_scores_as_generation_says(client: AppClient) -> None:
    made = client.post("/generate", json={"seed": 5, "class_id": 1, "include": ["realness"]}).json()["images"][0]
    found = score(client, base64.b64decode(made["data"]), class_id=1)["results"][0]
    assert found["realness"] == pytest.approx(made["realness"], abs=1e-6)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_colour_kind_is_taken(client: AppClient, mode: str) -> None:
    out = io.BytesIO()
    Image.fromarray(noise(1, (8, 8, 3))).convert(mode).save(out, "JPEG" if mode == "CMYK" else "PNG")
    assert 0 <= score(client, out.getvalue())["results"][0]["realness"] <= 1


def test_timings_name_the_decoding_too(client: AppClient) -> None:
    response = client.post("/discriminate", json={"images": [base64.b64encode(png(1)).decode()]})
    assert [part.split(";")[0].strip() for part in response.headers["Server-Timing"].split(",")] == [
        "decode", "queue", "inference", "encode",
    ]  # fmt: skip
