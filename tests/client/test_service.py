"""Every method, against a real service on loopback."""

import dataclasses
import inspect
import io
import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.api import schemas
from ganserve_client import (
    ApiError,
    AsyncClient,
    Client,
    GenerateOptions,
    InterpolateOptions,
    InvalidRequest,
    NotFound,
    Unauthorized,
)
from tests.client.both import Ask
from tests.client.conftest import KEY, Served
from tests.fakes.bundles import DIM, FEATURES, expected_pixels

Asked = Callable[..., Any]


@pytest.fixture
def asked(ask: Ask, served: Served) -> Asked:
    """Calls a method of a client of the service that knows the key."""
    return partial(ask, served.url, settings={"api_key": KEY})


def pixels(data: bytes) -> NDArray[np.uint8]:
    """The pixels of a file: uint8 [height, width] or [height, width, 3]."""
    return np.asarray(Image.open(io.BytesIO(data)))


def expected(served: Served, seed: int, *, class_id: int | None = None, truncation: float = 1.0) -> NDArray[np.uint8]:
    return expected_pixels(served.models / "tiny" / "1", seed, class_id, truncation)[:, :, 0]


def test_a_seed_is_its_image(asked: Asked, served: Served) -> None:
    found = asked("generate", seed=42, class_id=1, truncation=0.5)
    (image,) = found.images
    assert (image.index, image.seed, image.class_id, image.format) == (0, 42, 1, "png")
    assert (image.width, image.height) == (8, 8)
    assert np.array_equal(pixels(image.data), expected(served, 42, class_id=1, truncation=0.5))
    assert (image.realness, image.accepted, image.attempts, image.latent) == (None, None, None, None)
    assert found.files == [image.data]
    assert found.model.label == "tiny@1"
    assert len(found.id) == 32
    assert found.timings_ms.inference > 0


@pytest.mark.parametrize(
    "options",
    [
        {"seeds": [1, 2, 3], "class_id": [2, 0, 1]},
        {"seeds": np.array([1, 2, 3]), "class_id": np.array([2, 0, 1])},
        {"seeds": range(1, 4), "class_id": (2, 0, 1)},
        {"seeds": (1, 2, 3), "class_id": [np.int64(2), np.int64(0), np.int64(1)], "seed": None},
    ],
)
def test_seeds_and_classes_come_in_their_order_from_lists_and_arrays(
    asked: Asked, served: Served, options: dict[str, Any]
) -> None:
    images = asked("generate", **options).images
    assert [(image.seed, image.class_id) for image in images] == [(1, 2), (2, 0), (3, 1)]
    for image in images:
        assert np.array_equal(pixels(image.data), expected(served, image.seed, class_id=image.class_id))


def test_fresh_seeds_are_named_and_can_be_asked_for_again(asked: Asked) -> None:
    fresh = asked("generate", n=3)
    again = asked("generate", seeds=[image.seed for image in fresh.images])
    assert [image.data for image in again.images] == fresh.files


def test_latents_of_an_answer_make_the_same_image_as_lists_and_as_an_array(asked: Asked) -> None:
    (drawn,) = asked("generate", seed=7, class_id=0, include=["latents", "realness"]).images
    assert len(drawn.latent) == DIM
    assert 0 <= drawn.realness <= 1
    for latents in ([drawn.latent], np.array([drawn.latent], np.float32)):
        (made,) = asked("generate", latents=latents, class_id=0).images
        assert made.seed is None
        assert np.array_equal(pixels(made.data), pixels(drawn.data))


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_files_come_in_the_format_that_was_asked_for(asked: Asked, kind: str) -> None:
    (image,) = asked("generate", seed=1, format=kind, quality=50).images
    assert image.format == kind
    assert Image.open(io.BytesIO(image.data)).format == kind.upper()


def test_a_grid_is_one_file(asked: Asked) -> None:
    found = asked("generate", seeds=[1, 2, 3], layout="grid")
    assert (found.grid.columns, found.grid.rows, found.grid.width, found.grid.height) == (2, 2, 16, 16)
    assert found.files == [found.grid.data]
    assert pixels(found.grid.data).shape == (16, 16)
    assert [image.data for image in found.images] == [b""] * 3


def test_a_selection_says_how_it_went(asked: Asked) -> None:
    (best,) = asked("generate", seed=1, best_of=4, min_realness=1.0, max_attempts=2).images
    assert (best.accepted, best.attempts) == (False, 8)
    assert best.realness is not None


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_the_file_of_a_seed_is_the_same_by_its_url_and_without_a_model(asked: Asked, served: Served, kind: str) -> None:
    how = {"class_id": 2, "truncation": 0.25, "format": kind}
    named = asked("image", 5, model="tiny@1", **how)
    assert asked("image", 5, **how) == named
    url = asked("image_url", 5, model="tiny@1", **how)
    assert httpx.get(url, headers={"X-API-Key": KEY}).content == named
    if kind == "png":
        assert np.array_equal(pixels(named), expected(served, 5, class_id=2, truncation=0.25))


def test_an_array_holds_the_pixels(asked: Asked, served: Served) -> None:
    found = asked("array", seeds=[3, 4], class_id=0)
    assert found.dtype == np.uint8
    assert np.array_equal(found[:, :, :, 0], [expected(served, seed, class_id=0) for seed in (3, 4)])
    assert asked("array", n=2, model="plain").shape == (2, 8, 6, 3)


def test_an_archive_holds_a_file_per_image(asked: Asked) -> None:
    with zipfile.ZipFile(io.BytesIO(asked("archive", seeds=[3, 4], format="webp"))) as archive:
        told = json.loads(archive.read("images.json"))
        assert [image["seed"] for image in told["images"]] == [3, 4]
        assert len(archive.namelist()) == 3


def test_a_model_without_classes_and_discriminator_says_so(asked: Asked) -> None:
    (image,) = asked("generate", seed=1, model="plain").images
    assert image.class_id is None
    with pytest.raises(NotFound) as caught:
        asked("generate", seed=1, model="lone", best_of=2)
    assert caught.value.code == "discriminator_unavailable"


def test_images_are_scored_as_bytes_and_as_paths_one_or_many(asked: Asked, tmp_path: Path) -> None:
    data = asked("image", 1, class_id=1)
    path = tmp_path / "one.png"
    path.write_bytes(data)
    alone = asked("discriminate", data)
    assert len(alone.results) == 1
    assert alone.calibrated
    for images in (path, str(path)):
        assert asked("discriminate", images).results == alone.results
    both = asked("discriminate", [data, path], class_id=[0, 1], model="tiny@1", include=["features"])
    assert [score.index for score in both.results] == [0, 1]
    assert both.results[1].logit == pytest.approx(both.results[0].logit + 1, abs=1e-3)
    assert len(both.results[0].features) == FEATURES
    assert (
        asked("discriminate", data, class_id=np.array([1])).results == asked("discriminate", data, class_id=1).results
    )


def test_what_was_done_to_make_an_image_fit_is_told(asked: Asked) -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 12), "red").save(file, "PNG")
    (score,) = asked("discriminate", file.getvalue()).results
    assert score.changes == ("converted RGB to grey", "resized 16x12 to 8x8")


def test_the_models_are_listed_with_what_they_can_do(asked: Asked) -> None:
    found = asked("models")
    assert found.default == "tiny@1"
    assert found.failed == ()
    told = {model.label: model for model in found.models}
    assert set(told) == {"tiny@1", "plain@1", "lone@1"}
    tiny, plain = told["tiny@1"], told["plain@1"]
    assert (tiny.classes, tiny.latent.dim, tiny.truncation) == (("zero", "one", "two"), DIM, True)
    assert (plain.classes, plain.image.channels, plain.truncation) == (None, 3, False)
    assert (tiny.discriminator, told["lone@1"].discriminator, tiny.card) == (True, False, None)
    assert (tiny.encoder, plain.encoder) == (True, False)


def test_a_model_comes_with_its_card(asked: Asked) -> None:
    found = asked("model", "tiny")
    assert (found.name, found.default) == ("tiny", "tiny@1")
    assert [version.card for version in found.versions] == ["# tiny 1\n"]
    assert asked("model", "tiny@1").versions == found.versions


def test_health_needs_no_key(ask: Ask, served: Served) -> None:
    assert ask(served.url, "ready") is True
    assert ask(served.url, "live") is True


@pytest.mark.parametrize("key", [None, "not-the-key-of-this-service"])
def test_without_the_key_there_is_nothing(ask: Ask, served: Served, key: str | None) -> None:
    with pytest.raises(Unauthorized) as caught:
        ask(served.url, "models", settings={"api_key": key})
    assert caught.value.code == "unauthorized"


@pytest.mark.parametrize(
    ("method", "arguments", "options", "failure"),
    [
        ("generate", (), {"seed": 1, "model": "nobody"}, (NotFound, "model_not_found")),
        ("model", ("no/body",), {}, (NotFound, "not_found")),
        ("model", ("nobody",), {}, (NotFound, "model_not_found")),
        ("image", (1,), {"model": "nobody"}, (NotFound, "model_not_found")),
        ("generate", (), {}, (InvalidRequest, "invalid_request")),
        ("generate", (), {"seed": 1, "n": 2}, (InvalidRequest, "invalid_request")),
        ("generate", (), {"seed": 1, "colour": "red"}, (InvalidRequest, "invalid_request")),
        ("array", (), {"latents": [[0.0]]}, (InvalidRequest, "invalid_request")),
        ("image", (2**32,), {"model": "tiny"}, (InvalidRequest, "invalid_request")),
        ("discriminate", (b"no picture",), {}, (InvalidRequest, "unsupported_media_type")),
        ("discriminate", (b"no picture",), {"model": "lone"}, (NotFound, "discriminator_unavailable")),
        ("invert", (b"no picture",), {}, (InvalidRequest, "unsupported_media_type")),
        ("invert", (b"no picture",), {"model": "plain"}, (NotFound, "encoder_unavailable")),
        ("invert", (b"no picture",), {"budget": 2049}, (InvalidRequest, "invalid_request")),
    ],
)
def test_failures_are_named_for_what_a_caller_can_do(
    asked: Asked,
    method: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    failure: tuple[type[ApiError], str],
) -> None:
    with pytest.raises(ApiError) as caught:
        asked(method, *arguments, **options)
    assert (type(caught.value), caught.value.code) == failure
    assert caught.value.request_id
    assert caught.value.request_id in str(caught.value)


def test_a_wrong_field_is_named(asked: Asked) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked("generate", seed=1.5)
    assert [(error.location, error.message) for error in caught.value.errors] == [("seed", "must be a whole number")]
    assert "seed: must be a whole number" in str(caught.value)


@pytest.mark.parametrize("value", [object(), b"\0", float("nan")])
def test_what_json_cannot_say_is_refused_before_it_is_sent(asked: Asked, value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        asked("generate", latents=[[value]])


@pytest.mark.parametrize("method", ["discriminate", "invert"])
def test_no_image_is_refused_before_it_is_sent(asked: Asked, method: str) -> None:
    with pytest.raises(ValueError, match=f"{method} needs an image"):
        asked(method, [])


def test_every_field_of_the_service_can_be_asked_for() -> None:
    assert set(get_type_hints(GenerateOptions)) == set(schemas.GenerateRequest.model_fields)
    assert set(get_type_hints(InterpolateOptions)) == set(schemas.InterpolateRequest.model_fields)
    for method, body in ((Client.discriminate, schemas.DiscriminateRequest), (Client.invert, schemas.InvertRequest)):
        assert set(inspect.signature(method).parameters) - {"self"} == set(body.model_fields)


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    def methods(client: type[Client] | type[AsyncClient]) -> dict[str, str]:
        found = inspect.getmembers(client, inspect.isfunction)
        return {name: str(inspect.signature(method)) for name, method in found if not name.startswith("_")}

    assert methods(Client) == methods(AsyncClient)
    assert len(methods(Client)) == 13


def test_answers_cannot_be_changed(asked: Asked) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        asked("generate", seed=1).id = "mine"
