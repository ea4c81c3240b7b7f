"""The way back: what goes over the wire, against a server that says it word for word, and the service's own search."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganserve_client import Inverse, Inverses, ModelRef
from tests.client.both import Ask
from tests.client.conftest import KEY, Served
from tests.client.scripted import Answer, scripted
from tests.fakes.bundles import DIM

RESULT: dict[str, Any] = {
    "index": 0, "latent": [0.5, -1, 0.25], "class_id": 2, "error": 0.004, "error_before": 0.02, "evaluations": 40,
    "changes": ["resized 16x12 to 8x8"],
}  # fmt: skip


def answer(**changes: object) -> Answer:
    body = {
        "id": "0b9f8d4c",
        "model": {"name": "tiny", "version": 1, "digest": "5b1c"},
        "results": [RESULT | changes],
    }
    return Answer(body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def fields(body: bytes) -> list[tuple[str, str]]:
    """The names and the values of a form's parts, files left out."""
    return re.findall(r'form-data; name="(\w+)"\r\n\r\n(.*)\r\n', body.decode("latin-1"))


def test_an_inverse_is_read_with_its_image(ask: Ask) -> None:
    with scripted([answer(image=base64.b64encode(b"\x89PNG").decode())]) as server:
        found = ask(server.url, "invert", b"a file", include=["image"])
    inverse = Inverse(
        index=0,
        latent=(0.5, -1.0, 0.25),
        class_id=2,
        error=0.004,
        error_before=0.02,
        evaluations=40,
        changes=("resized 16x12 to 8x8",),
        image=b"\x89PNG",
    )
    assert found == Inverses(id="0b9f8d4c", model=ModelRef("tiny", 1, "5b1c"), results=(inverse,))


def test_what_was_asked_for_is_sent_and_nothing_else(ask: Ask) -> None:
    with scripted([answer(class_id=None)]) as server:
        found = ask(server.url, "invert", b"a file")
        ask(server.url, "invert", b"a file", model="tiny@1", class_id=np.array([2]), budget=0, include=["image"])
    bare, full = server.heard
    assert (bare.method, bare.path, bare.headers["Accept"]) == ("POST", "/invert", "application/json")
    assert fields(bare.body) == []
    assert sorted(fields(full.body)) == [("budget", "0"), ("class_id", "2"), ("include", "image"), ("model", "tiny@1")]
    assert (found.results[0].class_id, found.results[0].image) == (None, None)


def test_a_connection_that_broke_is_tried_again_since_the_search_ends_the_same(ask: Ask) -> None:
    with scripted([Answer(status=None), answer()]) as server:
        assert ask(server.url, "invert", b"a file", settings={"retries": 1}).results[0].evaluations == 40
    assert len(server.heard) == 2


def test_the_service_finds_the_latents_of_files_as_bytes_and_as_paths(ask: Ask, served: Served, tmp_path: Path) -> None:
    settings = {"api_key": KEY}
    drawn = ask(served.url, "generate", seeds=[5, 6], class_id=[1, 2], settings=settings).files
    path = tmp_path / "five.png"
    path.write_bytes(drawn[0])
    how: dict[str, Any] = {"class_id": [1, 2], "model": "tiny", "include": ["image"], "settings": settings}
    found = ask(served.url, "invert", [path, drawn[1]], **how)
    assert [(one.index, one.class_id, len(one.latent)) for one in found.results] == [(0, 1, DIM), (1, 2, DIM)]
    for one in found.results:
        assert one.error < 1e-5 < one.error_before
        (made,) = ask(served.url, "generate", latents=[one.latent], class_id=one.class_id, settings=settings).images
        again, told = (np.asarray(Image.open(io.BytesIO(data))) for data in (made.data, one.image))
        assert np.array_equal(again, told)


@pytest.mark.parametrize("budget", [0, 10])
def test_a_budget_bounds_the_search(ask: Ask, served: Served, budget: int) -> None:
    settings = {"api_key": KEY}
    data = ask(served.url, "image", 3, settings=settings)
    (found,) = ask(served.url, "invert", data, budget=budget, settings=settings).results
    assert found.evaluations <= budget
    assert found.error <= found.error_before
