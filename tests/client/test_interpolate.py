"""A walk: what goes over the wire, against a server that says it word for word, and the service's own walks."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganserve_client import Animation, InvalidRequest, ModelRef, Timings
from tests.client.both import Ask
from tests.client.conftest import KEY, Served
from tests.client.scripted import Answer, scripted

BODY: dict[str, Any] = {
    "id": "0b9f8d4c",
    "model": {"name": "tiny", "version": 1, "digest": "5b1c"},
    "animation": {
        "format": "gif", "frames": 8, "width": 16, "height": 16, "fps": 20, "loop": True, "seeds": [1, 2],
        "data": base64.b64encode(b"GIF89a").decode(),
    },
    "timings_ms": {"queue": 0.1, "inference": 1.5, "encode": 2.0},
}  # fmt: skip


def answer(**changes: object) -> Answer:
    body = BODY | {"animation": BODY["animation"] | changes}
    return Answer(body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def test_a_walk_is_read_with_its_file(ask: Ask) -> None:
    with scripted([answer()]) as server:
        found = ask(server.url, "interpolate", seeds=[1, 2], steps=4, format="gif", fps=20, loop=True, scale=2)
    assert found == Animation(
        id="0b9f8d4c",
        model=ModelRef("tiny", 1, "5b1c"),
        format="gif",
        frames=8,
        width=16,
        height=16,
        fps=20.0,
        loop=True,
        seeds=(1, 2),
        data=b"GIF89a",
        timings_ms=Timings(0.1, 1.5, 2.0),
    )


def test_what_was_asked_for_is_sent_and_nothing_else(ask: Ask) -> None:
    with scripted([answer(seeds=None)]) as server:
        latents = np.zeros((2, 3), np.float32)
        found = ask(server.url, "interpolate", latents=latents, mode="slerp", easing="smooth", quality=None)
    (heard,) = server.heard
    assert (heard.method, heard.path, heard.headers["Accept"]) == ("POST", "/interpolate", "application/json")
    assert json.loads(heard.body) == {"latents": [[0.0] * 3] * 2, "mode": "slerp", "easing": "smooth"}
    assert found.seeds is None


@pytest.mark.parametrize("kind", ["webp", "gif", "apng"])
def test_the_service_walks(ask: Ask, served: Served, kind: str) -> None:
    how = {"seeds": [1, 2], "class_id": [0, 1], "steps": 3, "fps": 10, "scale": 2, "format": kind}
    found = ask(served.url, "interpolate", settings={"api_key": KEY}, **how)
    assert (found.format, found.fps, found.loop, found.seeds) == (kind, 10, False, (1, 2))
    with Image.open(io.BytesIO(found.data)) as animation:
        assert getattr(animation, "n_frames", 1) == found.frames
        assert animation.size == (found.width, found.height) == (16, 16)
    assert found.frames == 4


def test_one_key_frame_is_no_walk(ask: Ask, served: Served) -> None:
    with pytest.raises(InvalidRequest):
        ask(served.url, "interpolate", seeds=[1], settings={"api_key": KEY})
