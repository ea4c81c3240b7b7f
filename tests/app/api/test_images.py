import io

import numpy as np
import pytest
from PIL import Image

from tests.app.api.conftest import Serve
from tests.fakes.client import AppClient

URL = "/images/tiny@2/42.png?class_id=1&truncation=0.5"


@pytest.mark.parametrize(("extension", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")])
def test_an_image_has_the_format_of_its_extension(client: AppClient, extension: str, kind: str) -> None:
    response = client.get(f"/images/tiny/7.{extension}")
    assert response.headers["content-type"] == f"image/{kind.lower()}"
    assert Image.open(io.BytesIO(response.content)).format == kind


def test_an_image_is_the_one_that_generate_makes(client: AppClient) -> None:
    made = client.post(
        "/generate", json={"seed": 42, "class_id": 1, "truncation": 0.5}, headers={"Accept": "image/png"}
    )
    response = client.get(URL)
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(response.content))), np.asarray(Image.open(io.BytesIO(made.content)))
    )
    assert response.content == made.content
    assert response.headers["X-Seed"] == "42"
    assert response.headers["X-Model"] == "tiny@2"


def test_an_image_of_a_named_version_is_cached_for_ever(client: AppClient) -> None:
    assert client.get(URL).headers["cache-control"] == "public, max-age=31536000, immutable"


def test_an_image_of_the_latest_version_is_asked_for_again(client: AppClient) -> None:
    assert client.get("/images/tiny/42.png").headers["cache-control"] == "public, no-cache"


@pytest.mark.parametrize("spelling", ["{}", "W/{}", '"other", {}', "*", '"a" , W/{}'])
def test_a_client_that_has_the_image_gets_304_without_inference(client: AppClient, spelling: str) -> None:
    etag = client.get(URL).headers["etag"]
    before = client.service.metrics.registry.get_sample_value("gan_batches_total", {"model": "tiny"})
    response = client.get(URL, headers={"If-None-Match": spelling.format(etag)})
    assert response.status_code == 304
    assert response.content == b""
    assert response.headers["etag"] == etag
    assert response.headers["cache-control"].endswith("immutable")
    assert client.service.metrics.registry.get_sample_value("gan_batches_total", {"model": "tiny"}) == before


def test_another_tag_gets_the_image(client: AppClient) -> None:
    assert client.get(URL, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_tag_is_strong_and_every_image_has_its_own(client: AppClient) -> None:
    paths = [
        "tiny@2/1.png", "tiny@1/1.png", "tiny@2/2.png", "tiny@2/1.jpg", "tiny@2/1.webp", "tiny@2/1.png?class_id=0",
        "tiny@2/1.png?class_id=1", "tiny@2/1.png?truncation=0.5", "plain/1.png",
    ]  # fmt: skip
    tags = [client.get(f"/images/{path}").headers["etag"] for path in paths]
    assert len(set(tags)) == len(paths)
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)


def test_a_png_level_changes_the_file_and_tag_of_a_png_and_nothing_else(client: AppClient, serve: Serve) -> None:
    other = serve(png_level=0)
    for extension, changes in (("png", True), ("jpg", False), ("webp", False)):
        ours, theirs = (one.get(f"/images/tiny@2/42.{extension}") for one in (client, other))
        assert (ours.headers["etag"] != theirs.headers["etag"]) is changes
        assert (ours.content != theirs.content) is changes
        pixels, others = (np.asarray(Image.open(io.BytesIO(one.content))) for one in (ours, theirs))
        np.testing.assert_array_equal(pixels, others)


def test_head_says_what_get_would_without_the_image(client: AppClient) -> None:
    get, head = client.get(URL), client.request("HEAD", URL)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("etag", "content-type", "content-length", "cache-control"):
        assert head.headers[name] == get.headers[name]
