import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from app.api.responses import GenerateResponse
from bundle import Manifest, classes_of, sample_latents
from tests.app.api.conftest import Serve
from tests.fakes.bundles import expected_pixels
from tests.fakes.client import AppClient


def ask(client: AppClient, body: dict[str, Any], accept: str = "application/json") -> httpx.Response:
    response = client.post("/generate", json=body, headers={"Accept": accept})
    assert response.status_code == 200, response.text
    return response


def answer(client: AppClient, body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = ask(client, body).json()
    GenerateResponse.model_validate(found)
    return found


def pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)), dtype=np.uint8)


def image(record: dict[str, Any]) -> NDArray[np.uint8]:
    return pixels(base64.b64decode(record["data"]))


def test_a_seed_makes_the_image_that_the_bundle_says(client: AppClient, models: Path) -> None:
    found = answer(client, {"seed": 42, "class_id": 2, "truncation": 0.5})
    expected = expected_pixels(models / "tiny" / "2", 42, 2, 0.5)
    record = found["images"][0]
    np.testing.assert_allclose(image(record).astype(int), expected[:, :, 0].astype(int), atol=1)
    assert {key: record[key] for key in ("index", "seed", "class_id", "format", "width", "height")} == {
        "index": 0, "seed": 42, "class_id": 2, "format": "png", "width": 8, "height": 8,
    }  # fmt: skip
    assert found["model"]["name"] == "tiny"
    assert found["model"]["version"] == 2
    assert set(found["timings_ms"]) == {"queue", "inference", "encode"}


def test_the_id_is_the_request_s_own(client: AppClient) -> None:
    response = client.post("/generate", json={"seed": 1}, headers={"X-Request-Id": "my-request.1"})
    assert response.json()["id"] == response.headers["X-Request-Id"] == "my-request.1"


def test_a_class_that_is_not_stated_is_a_function_of_the_seed(client: AppClient, models: Path) -> None:
    found = answer(client, {"seeds": list(range(20))})
    manifest = Manifest.model_validate_json((models / "tiny/2/manifest.json").read_bytes())
    expected = classes_of(sample_latents(manifest.latent, range(20)), 3)
    assert [record["class_id"] for record in found["images"]] == expected.tolist()


def test_seeds_keep_their_order_and_a_class_each(client: AppClient) -> None:
    found = answer(client, {"seeds": [5, 3, 5], "class_id": [0, 1, 2]})
    assert [(record["seed"], record["class_id"]) for record in found["images"]] == [(5, 0), (3, 1), (5, 2)]


def test_fresh_seeds_are_returned_and_make_the_images_again(client: AppClient) -> None:
    first = answer(client, {"n": 5})["images"]
    again = answer(client, {"seeds": [record["seed"] for record in first]})["images"]
    assert len({record["seed"] for record in first}) == 5
    assert [record["data"] for record in again] == [record["data"] for record in first]


def test_latents_that_were_handed_out_make_the_image_again(client: AppClient) -> None:
    first = answer(client, {"seeds": [1, 2], "include": ["latents"]})["images"]
    again = answer(client, {"latents": [record["latent"] for record in first]})["images"]
    assert [record["seed"] for record in again] == [None, None]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(image(one), image(other))


def test_1_0_is_a_seed(client: AppClient) -> None:
    assert answer(client, {"seed": 1.0})["images"] == answer(client, {"seed": 1})["images"]


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_every_seed_in_range_makes_an_image(client: AppClient, seed: int) -> None:
    assert answer(client, {"seed": seed})["images"][0]["seed"] == seed


def test_null_is_as_good_as_leaving_a_field_out(client: AppClient) -> None:
    assert len(answer(client, {"seed": 1, "seeds": None, "class_id": None, "model": None})["images"]) == 1


@pytest.mark.parametrize(("name", "version"), [("tiny", 2), ("tiny@1", 1), ("tiny@2", 2)])
def test_a_model_is_found_by_name_and_version(client: AppClient, name: str, version: int) -> None:
    assert answer(client, {"seed": 1, "model": name})["model"]["version"] == version


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_files_in_json_have_the_format_that_was_asked_for(client: AppClient, image_format: str) -> None:
    record = answer(client, {"seed": 1, "format": image_format, "quality": 50})["images"][0]
    assert Image.open(io.BytesIO(base64.b64decode(record["data"]))).format == image_format.upper()


def test_quality_changes_the_size(client: AppClient) -> None:
    sizes = [len(ask(client, {"seed": 1, "quality": q}, "image/jpeg").content) for q in (5, 100)]
    assert sizes[0] < sizes[1]


def test_an_array_in_json_is_a_npy_file(client: AppClient) -> None:
    record = answer(client, {"seed": 1, "format": "npy", "model": "plain"})["images"][0]
    array = np.load(io.BytesIO(base64.b64decode(record["data"])), allow_pickle=False)
    assert array.shape == (8, 6, 3)
    assert array.dtype == np.uint8


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_accept_gets_the_picture_itself(client: AppClient, kind: str) -> None:
    response = ask(client, {"seed": 9}, f"image/{kind}")
    assert response.headers["content-type"] == f"image/{kind}"
    assert Image.open(io.BytesIO(response.content)).format == kind.upper()
    assert response.headers["X-Seed"] == "9"
    assert response.headers["X-Model"] == "tiny@2"
    assert response.headers["Vary"] == "Accept"
    timing = response.headers["Server-Timing"]
    assert [part.split(";")[0].strip() for part in timing.split(",")] == ["queue", "inference", "encode"]


def test_json_and_picture_hold_the_same_pixels(client: AppClient) -> None:
    np.testing.assert_array_equal(
        image(answer(client, {"seed": 9})["images"][0]), pixels(ask(client, {"seed": 9}, "image/png").content)
    )


def test_any_picture_is_the_format_of_the_request(client: AppClient) -> None:
    assert ask(client, {"seed": 9, "format": "webp"}, "image/*").headers["content-type"] == "image/webp"


def test_a_png_says_how_to_make_it_again(client: AppClient) -> None:
    first = ask(client, {"seed": 77, "truncation": 0.25}, "image/png").content
    file = Image.open(io.BytesIO(first))
    assert isinstance(file, PngImageFile)
    text = dict(file.text)
    digest = answer(client, {"seed": 1})["model"]["digest"]
    assert text == {
        "model": "tiny@2", "digest": digest, "seed": "77", "class_id": text["class_id"], "truncation": "0.25",
    }  # fmt: skip
    again = {"seed": int(text["seed"]), "class_id": int(text["class_id"]), "truncation": float(text["truncation"])}
    assert ask(client, {**again, "model": text["model"]}, "image/png").content == first


def test_a_png_made_from_a_latent_carries_the_latent(client: AppClient) -> None:
    latent = [0.5, -1.25, 3.0, 0.0, 1e-3, 7.5]
    file = Image.open(io.BytesIO(ask(client, {"latents": [latent]}, "image/png").content))
    assert isinstance(file, PngImageFile)
    found = np.frombuffer(base64.b64decode(file.text["latent"]), "<f4")
    np.testing.assert_array_equal(found, np.array(latent, np.float32))
    assert "seed" not in file.text


def test_an_unconditional_png_names_no_class_and_no_truncation(client: AppClient) -> None:
    file = Image.open(io.BytesIO(ask(client, {"seed": 1, "model": "plain"}, "image/png").content))
    assert isinstance(file, PngImageFile)
    assert set(file.text) == {"model", "digest", "seed"}


def test_a_grid_holds_the_images_in_order(client: AppClient) -> None:
    singles = [image(record) for record in answer(client, {"seeds": [1, 2, 3, 4, 5]})["images"]]
    response = ask(client, {"seeds": [1, 2, 3, 4, 5], "layout": "grid"}, "image/png")
    sheet = pixels(response.content)
    assert sheet.shape == (16, 24)
    for index, single in enumerate(singles):
        top, left = index // 3 * 8, index % 3 * 8
        np.testing.assert_array_equal(sheet[top : top + 8, left : left + 8], single)
    assert response.headers["X-Seed"] == "1,2,3,4,5"


def test_a_grid_in_json_stands_beside_its_images(client: AppClient) -> None:
    found = answer(client, {"seeds": [1, 2, 3], "layout": "grid"})
    grid = found["grid"]
    assert (grid["columns"], grid["rows"], grid["width"], grid["height"]) == (2, 2, 16, 16)
    assert image(grid).shape == (16, 16)
    assert all("data" not in record for record in found["images"])
    assert [record["seed"] for record in found["images"]] == [1, 2, 3]


def test_a_zip_holds_a_file_per_image_and_their_description(client: AppClient) -> None:
    response = ask(client, {"seeds": [4, 5], "format": "webp"}, "application/zip")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.namelist() == ["0000-seed4.webp", "0001-seed5.webp", "images.json"]
        described = json.loads(archive.read("images.json"))
        GenerateResponse.model_validate(described)
        assert [record["file"] for record in described["images"]] == archive.namelist()[:2]
        assert pixels(archive.read("0000-seed4.webp")).shape[:2] == (8, 8)


def test_a_zip_of_a_grid_holds_the_sheet(client: AppClient) -> None:
    response = ask(client, {"seeds": [4, 5], "layout": "grid"}, "application/zip")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.namelist() == ["grid.png", "images.json"]


@pytest.mark.parametrize(("layout", "shape"), [("list", (3, 8, 8, 1)), ("grid", (1, 16, 16, 1))])
def test_an_array_holds_all_images(client: AppClient, layout: str, shape: tuple[int, ...]) -> None:
    response = ask(client, {"seeds": [1, 2, 3], "layout": layout}, "application/x-npy")
    array = np.load(io.BytesIO(response.content), allow_pickle=False)
    assert array.shape == shape
    assert array.dtype == np.uint8


def test_the_best_of_several_is_the_most_real(client: AppClient) -> None:
    single = answer(client, {"seeds": [1, 2, 3], "include": ["realness"]})["images"]
    best = answer(client, {"seeds": [1, 2, 3], "best_of": 8})["images"]
    for one, other in zip(single, best, strict=True):
        assert other["realness"] >= one["realness"]
    again = answer(client, {"seeds": [record["seed"] for record in best], "class_id": [r["class_id"] for r in best]})
    assert [record["data"] for record in again["images"]] == [record["data"] for record in best]


def test_realness_that_cannot_be_had_is_admitted(client: AppClient) -> None:
    body = {"seeds": [1, 2], "min_realness": 1.0, "max_attempts": 3}
    images = answer(client, body)["images"]
    assert [(record["accepted"], record["attempts"]) for record in images] == [(False, 3), (False, 3)]
    assert ask(client, body | {"layout": "grid"}, "image/png").headers["X-Accepted"] == "false,false"


def test_realness_that_is_there_is_accepted_at_once(client: AppClient) -> None:
    record = answer(client, {"seed": 1, "min_realness": 0.0})["images"][0]
    assert (record["accepted"], record["attempts"], record["seed"]) == (True, 1, 1)


def test_realness_is_left_out_unless_asked_for(client: AppClient) -> None:
    record = answer(client, {"seed": 1})["images"][0]
    assert set(record) == {"index", "seed", "class_id", "format", "width", "height", "data"}


def test_a_large_body_is_read_like_a_small_one(client: AppClient) -> None:
    rows = np.random.RandomState(0).standard_normal((256, 6)).tolist()
    assert len(json.dumps({"latents": rows})) > 16 * 1024
    assert len(answer(client, {"latents": rows})["images"]) == 256


def test_too_many_seeds_for_a_header_are_left_to_the_body(serve: Serve) -> None:
    client = serve(max_images_per_request=1000)
    seeds = list(range(4 * 10**9, 4 * 10**9 + 1000))
    response = ask(client, {"seeds": seeds}, "application/x-npy")
    assert "X-Seed" not in response.headers
