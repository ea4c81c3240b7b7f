import json
from pathlib import Path

import pytest

from benchmarks.orders import Template, generate, mixed, read_templates, write_templates


def _body(request: bytes) -> dict[str, object]:
    head, _, body = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    parsed: dict[str, object] = json.loads(body)
    return parsed


def test_no_two_requests_ask_for_the_same_seed() -> None:
    template = generate(4, "png")
    seeds = [seed for serial in range(50) for seed in _body(template.render(serial))["seeds"]]  # type: ignore[attr-defined]
    assert len(set(seeds)) == 200
    assert all(10**9 <= seed < 2**32 for seed in seeds)


def test_the_same_number_asks_for_the_same_seeds() -> None:
    assert generate(2, "npy").render(7) == generate(2, "npy").render(7)


@pytest.mark.parametrize(
    ("images", "image_format", "accept"),
    [(1, "png", b"image/png"), (1, "jpeg", b"image/jpeg"), (4, "png", b"application/json"), (4, "npy", b"x-npy")],
)
def test_a_request_accepts_what_it_will_get(images: int, image_format: str, accept: bytes) -> None:
    request = generate(images, image_format).render(0)  # type: ignore[arg-type]
    assert b"Accept: " in request
    assert accept in request


def test_a_get_has_its_seed_in_the_path_and_no_body() -> None:
    request = Template("/images/mnist/{seeds}.png", "GET", seeds=1).render(3)
    assert request == b"GET /images/mnist/1000000003.png HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_templates_survive_the_way_to_another_process(tmp_path: Path) -> None:
    templates = mixed(b"\x89PNG")
    write_templates(tmp_path / "templates.json", templates)
    assert read_templates(tmp_path / "templates.json") == templates
