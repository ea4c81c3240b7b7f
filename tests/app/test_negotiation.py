import pytest

from app.api.negotiation import JSON, NPY, ZIP, negotiate, representations
from app.errors import NotAcceptable

ONE = representations(one_picture=True, preferred_picture="image/png")
MANY = representations(one_picture=False, preferred_picture="image/png")


@pytest.mark.parametrize("accept", [None, "", "  ", "*/*", "application/json", "application/*", "text/html, */*;q=0.8"])
def test_json_is_the_default(accept: str | None) -> None:
    assert negotiate(accept, ONE) == JSON


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("image/png", "image/png"),
        ("IMAGE/JPEG", "image/jpeg"),
        ("image/webp;q=0.5, image/png;q=0.4", "image/webp"),
        ("image/*", "image/png"),
        ("application/zip", ZIP),
        ("application/x-npy", NPY),
        ("application/json;q=0.1, image/png", "image/png"),
        ("*/*, application/json;q=0", "image/png"),
        ("image/png;q=0, image/*", "image/jpeg"),
        ("image/avif, image/webp, */*;q=0.1", "image/webp"),
        ("garbage, image/png", "image/png"),
        ("image/png; version=2; q=0.3", "image/png"),
    ],
)
def test_the_client_s_favourite_wins(accept: str, chosen: str) -> None:
    assert negotiate(accept, ONE) == chosen


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "image/gif",
        "application/xml;q=0.9",
        "*/*;q=0",
        "*/png",
        "image/png;q=2",
        "image/png;q=x",
        "nonsense",
    ],
)
def test_nothing_acceptable_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate(accept, ONE)


def test_a_picture_is_not_on_offer_for_several_images() -> None:
    with pytest.raises(NotAcceptable):
        negotiate("image/png", MANY)
    assert negotiate("image/png, application/zip;q=0.5", MANY) == ZIP


def test_a_grid_of_several_images_is_a_picture() -> None:
    offers = representations(one_picture=True, preferred_picture="image/png")
    assert negotiate("image/webp", offers) == "image/webp"


def test_any_picture_means_the_format_of_the_request() -> None:
    offers = representations(one_picture=True, preferred_picture="image/webp")
    assert negotiate("image/*", offers) == "image/webp"


def test_an_image_as_npy_leaves_png_the_first_picture() -> None:
    offers = representations(one_picture=True, preferred_picture="image/npy")
    assert negotiate("image/*", offers) == "image/png"
