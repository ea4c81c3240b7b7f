"""Two thousand bodies of every shape to each route that takes one: refused or answered, never a 5xx."""

import base64
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.imaging import encode
from tests.fakes.client import AppClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
EXAMPLES = settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
FEWER = settings(EXAMPLES, max_examples=500)

PNG = encode(np.zeros((8, 8, 1), np.uint8), "png", quality=90)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 300)
    | st.floats()
    | st.sampled_from(
        [0, 1, 1.0, 2**32 - 1, 2**32, 10**400, 1e308, "", "1", "tiny", "tiny@1", "plain", "lone", "png", "grid", "npy"]
    )
    | st.text(max_size=8)
    | st.characters(categories=["Cs"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=20,
)
FLOATS = st.floats(-3, 3) | st.integers(-2, 2)
GENERATE = {
    "seed": st.integers(0, 2**32 - 1),
    "seeds": st.lists(st.integers(0, 2**32), min_size=1, max_size=5),
    "n": st.integers(0, 5),
    "latents": st.lists(st.lists(FLOATS, min_size=6, max_size=6), min_size=1, max_size=3),
    "model": st.sampled_from(["tiny", "tiny@1", "plain", "lone", "nope"]),
    "class_id": st.integers(-1, 3) | st.lists(st.integers(0, 3), max_size=4),
    "truncation": st.floats(0, 1),
    "format": st.sampled_from(["png", "jpeg", "webp", "npy", "gif"]),
    "quality": st.integers(0, 101),
    "layout": st.sampled_from(["list", "grid"]),
    "best_of": st.integers(1, 4),
    "min_realness": st.floats(0, 1),
    "max_attempts": st.integers(1, 3),
    "include": st.lists(st.sampled_from(["latents", "realness"]), max_size=2),
}
DISCRIMINATE = {
    "images": st.lists(
        st.sampled_from([PNG, PNG, PNG, PNG[:40], b"x"]).map(lambda data: base64.b64encode(data).decode()), max_size=3
    ),
    "model": GENERATE["model"],
    "class_id": st.integers(0, 3),
    "include": st.lists(st.just("features"), max_size=2),
}
ACCEPTS = st.sampled_from(
    ["*/*", "application/json", "image/png", "image/webp", "application/zip", "application/x-npy", "text/html"]
)


SOURCES = ("seed", "seeds", "n", "latents", "images")


def objects(fields: dict[str, st.SearchStrategy[object]]) -> st.SearchStrategy[bytes]:
    """Bodies that are nearly right: one way to name images, and each other field absent, plausible, or anything."""
    sources = st.one_of([st.fixed_dictionaries({name: fields[name]}) for name in SOURCES if name in fields])
    options = {name: value for name, value in fields.items() if name not in SOURCES}
    plausible = st.builds(lambda source, rest: source | rest, sources, st.fixed_dictionaries({}, optional=options))
    wild = st.fixed_dictionaries({}, optional={name: value | VALUES for name, value in fields.items()})
    stray = st.builds(
        lambda body, extra: body | extra, plausible, st.dictionaries(st.text(max_size=5), VALUES, max_size=2)
    )
    return (sources | plausible | plausible | wild | stray).map(lambda value: json.dumps(value).encode())


def bodies(fields: dict[str, st.SearchStrategy[object]]) -> st.SearchStrategy[bytes]:
    """Nearly right objects most of the time; any JSON, broken JSON and plain bytes for the rest."""
    right = objects(fields)
    anything = VALUES.map(lambda value: json.dumps(value).encode())
    broken = st.builds(
        lambda data, at, byte: data[:at] + byte + data[at + 1 :], right, st.integers(0, 60), st.binary(max_size=2)
    )
    return right | right | anything | broken | st.binary(max_size=60)


def require_sane(client: AppClient, path: str, body: bytes, accept: str) -> None:
    headers = {"Content-Type": "application/json", "Accept": accept}
    response = client.post(path, content=body, headers=headers)
    assert response.status_code in {200, 400, 404, 406, 413, 415, 422}, (response.status_code, response.text)
    if response.status_code != 200:
        assert response.headers["content-type"] == "application/problem+json"
        assert len(response.content) <= 4096


@EXAMPLES
@given(body=bodies(GENERATE), accept=ACCEPTS)
def test_no_body_to_generate_makes_a_5xx(client: AppClient, body: bytes, accept: str) -> None:
    require_sane(client, "/generate", body, accept)


@EXAMPLES
@given(body=bodies(DISCRIMINATE), accept=ACCEPTS)
def test_no_body_to_discriminate_makes_a_5xx(client: AppClient, body: bytes, accept: str) -> None:
    require_sane(client, "/discriminate", body, accept)


@FEWER
@given(
    parts=st.lists(
        st.binary(max_size=30)
        | st.sampled_from(
            [b"--x", b"\r\n", b"--x\r\n", b"--x--", b'Content-Disposition: form-data; name="images"', b"\r\n\r\n", PNG]
        ),
        max_size=12,
    )
)
def test_no_form_makes_a_5xx(client: AppClient, parts: list[bytes]) -> None:
    response = client.post(
        "/discriminate", content=b"".join(parts), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert response.status_code in {200, 413, 415, 422}, response.text


@FEWER
@given(data=st.data())
def test_no_image_that_is_damaged_makes_a_5xx(client: AppClient, data: st.DataObject) -> None:
    image = bytearray(PNG)
    for _ in range(data.draw(st.integers(1, 4))):
        image[data.draw(st.integers(8, len(image) - 1))] = data.draw(st.integers(0, 255))
    response = client.post("/discriminate", files=[("images", ("i.png", bytes(image)))])
    assert response.status_code in {200, 413, 415, 422}, response.text
