"""Every row of the error table in docs/http-api.md, by name; a row without a test fails the last test."""

import base64
import io
import json
import struct
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.api.problems import INTERNAL, MAX_ERRORS, TABLE, ProblemBody
from tests.app.api.conftest import Serve
from tests.fakes.client import AppClient

JSON = {"Content-Type": "application/json"}


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check the shape that every failure has, and return the body."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) <= 4096
    body: dict[str, Any] = response.json()
    assert ProblemBody.model_validate(body).model_dump(exclude_none=True) == body
    assert body["code"] == code
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert len(body.get("errors", [])) <= MAX_ERRORS
    return body


def generate(client: AppClient, body: object) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post("/generate", content=content, headers=JSON)


def png(width: int = 8, height: int = 8, **save: Any) -> bytes:  # noqa: ANN401 -- Pillow's own options
    out = io.BytesIO()
    noise = np.random.RandomState(0).randint(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(out, **{"format": "PNG", **save})
    return out.getvalue()


def upload(client: AppClient, *images: bytes) -> httpx.Response:
    return client.post("/discriminate", files=[("images", ("image", data)) for data in images])


# 400 invalid_json


@pytest.mark.parametrize("path", ["/generate", "/discriminate"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"seed=1", id="a form"),
        pytest.param(b'{"seed": 1', id="cut short"),
        pytest.param(b'{"seed": 1}\xff', id="bad UTF-8"),
        pytest.param(b'{"seed": 1, "seed": 2}', id="duplicate keys"),
        pytest.param(b'{"seed": ' + b"[" * 64 + b"]" * 64 + b"}", id="depth over 64"),
        pytest.param(b"[" * 200_000, id="depth 200,000"),
    ],
)
def test_what_is_not_strict_json_is_400_invalid_json(client: AppClient, path: str, body: bytes) -> None:
    problem(client.post(path, content=body, headers=JSON), 400, "invalid_json")


# 422 invalid_request

LATENT = [0.0] * 6


@pytest.mark.parametrize(
    ("body", "location"),
    [
        pytest.param(b'{"latents": [[NaN, 0, 0, 0, 0, 0]]}', "latents", id="NaN"),
        pytest.param(b'{"latents": [[Infinity, 0, 0, 0, 0, 0]]}', "latents", id="Infinity"),
        pytest.param(b'{"latents": [[1e400, 0, 0, 0, 0, 0]]}', "latents", id="1e400"),
        pytest.param(b'{"seed": NaN}', "seed", id="NaN as a seed"),
        pytest.param(b'{"seed": 1, "truncation": NaN}', "truncation", id="NaN as truncation"),
        pytest.param(b'{"seed": 1, "min_realness": 1e400}', "min_realness", id="1e400 as realness"),
        pytest.param(b'{"seed": ' + b"9" * 5000 + b"}", "seed", id="a whole number of 5000 digits"),
        pytest.param(b'{"latents": [[' + b"9" * 5000 + b", 0, 0, 0, 0, 0]]}", "latents", id="5000 digits in z"),
        pytest.param({"latents": [[1000.1, *LATENT[1:]]]}, "latents", id="abs(z) over 1000"),
        pytest.param({"latents": [LATENT[1:]]}, "latents", id="wrong latent length"),
        pytest.param({"latents": [LATENT, LATENT[1:]]}, "latents", id="rows of unequal length"),
        pytest.param({"latents": LATENT}, "latents", id="a bare row"),
        pytest.param({"latents": [[]]}, "latents", id="an empty row"),
        pytest.param({"latents": [[True, *LATENT[1:]]]}, "latents", id="true in z"),
        pytest.param({"latents": [["0", *LATENT[1:]]]}, "latents", id="text in z"),
        pytest.param({"latents": [[None, *LATENT[1:]]]}, "latents", id="null in z"),
        pytest.param({"seed": -1}, "seed", id="seed -1"),
        pytest.param({"seed": 2**32}, "seed", id="seed 2**32"),
        pytest.param({"seed": True}, "seed", id="true as a seed"),
        pytest.param({"seed": "1"}, "seed", id="text as a seed"),
        pytest.param({"seed": 1.5}, "seed", id="half a seed"),
        pytest.param({"seed": [1]}, "seed", id="a list as a seed"),
        pytest.param({"seeds": [1, True]}, "seeds.1", id="true among seeds"),
        pytest.param({"seeds": 1}, "seeds", id="a number as seeds"),
        pytest.param({"seeds": {"0": 1}}, "seeds", id="an object as seeds"),
        pytest.param({"seeds": []}, "seeds", id="empty seeds"),
        pytest.param({"latents": []}, "latents", id="empty latents"),
        pytest.param({"seeds": list(range(257))}, "seeds", id="seeds over the limit"),
        pytest.param({"n": 257}, "n", id="n over the limit"),
        pytest.param({"n": 0}, "n", id="n 0"),
        pytest.param({"n": 10**30}, "n", id="n huge"),
        pytest.param({}, "body", id="no way to name images"),
        pytest.param({"seed": 1, "n": 1}, "body", id="two ways to name images"),
        pytest.param({"seed": 1, "class_id": 3}, "class_id", id="class out of range"),
        pytest.param({"seed": 1, "class_id": -1}, "class_id", id="class -1"),
        pytest.param({"seed": 1, "class_id": 2**40}, "class_id", id="class 2**40"),
        pytest.param({"seed": 1, "class_id": "1"}, "class_id", id="text as a class"),
        pytest.param({"seed": 1, "class_id": True}, "class_id", id="true as a class"),
        pytest.param({"seeds": [1, 2], "class_id": [1]}, "class_id", id="fewer classes than images"),
        pytest.param({"seeds": [1], "class_id": [1, 2]}, "class_id", id="more classes than images"),
        pytest.param({"seed": 1, "truncation": 1.1}, "truncation", id="truncation over 1"),
        pytest.param({"seed": 1, "truncation": True}, "truncation", id="true as truncation"),
        pytest.param({"seed": 1, "format": "gif"}, "format", id="unknown format"),
        pytest.param({"seed": 1, "quality": 0}, "quality", id="quality 0"),
        pytest.param({"seed": 1, "quality": 101}, "quality", id="quality 101"),
        pytest.param({"seed": 1, "layout": "spiral"}, "layout", id="unknown layout"),
        pytest.param({"seed": 1, "best_of": 17}, "best_of", id="best_of over 16"),
        pytest.param({"seed": 1, "min_realness": -0.1}, "min_realness", id="realness under 0"),
        pytest.param({"seed": 1, "max_attempts": 0}, "max_attempts", id="no attempt"),
        pytest.param({"seed": 1, "include": ["everything"]}, "include.0", id="unknown include"),
        pytest.param({"seed": 1, "include": "latents"}, "include", id="text as include"),
        pytest.param({"seed": 1, "model": 7}, "model", id="a number as model"),
        pytest.param({"latents": [LATENT], "best_of": 2}, "best_of", id="best_of without seeds"),
        pytest.param({"latents": [LATENT], "min_realness": 0.5}, "min_realness", id="min_realness without seeds"),
        pytest.param({"seed": 1, "model": "plain", "class_id": 0}, "class_id", id="class of an unconditional model"),
        pytest.param({"seed": 1, "model": "plain", "truncation": 0.5}, "truncation", id="truncation unsupported"),
    ],
)
def test_a_wrong_field_is_422_invalid_request_and_named(client: AppClient, body: object, location: str) -> None:
    found = problem(generate(client, body), 422, "invalid_request")
    assert [error["location"] for error in found["errors"]] == [location]


@pytest.mark.parametrize("body", [b"null", b"1", b'"text"', b"[]", b"[[[]]]", b"true", b"NaN"])
def test_json_that_is_no_object_is_422_invalid_request(client: AppClient, body: bytes) -> None:
    problem(generate(client, body), 422, "invalid_request")


@pytest.mark.parametrize(
    "body", [b'{"model": "\\ud800"}', b'{"\\udfff": 1}', b'{"seed": 1, "include": ["\\ud83d"]}', b'"\\uDABC"']
)
def test_a_lone_surrogate_is_422_invalid_request(client: AppClient, body: bytes) -> None:
    problem(generate(client, body), 422, "invalid_request")


def test_1_0_is_a_seed_and_no_error(client: AppClient) -> None:
    assert generate(client, b'{"seed": 1.0}').status_code == 200


def test_an_unknown_field_is_refused_with_a_hint_and_not_repeated(client: AppClient) -> None:
    found = problem(generate(client, {"seed": 1, "clas_id": 2}), 422, "invalid_request")
    assert found["errors"] == [{"location": "body", "message": "unknown field; did you mean class_id?"}]


def test_what_the_client_sent_is_never_repeated(client: AppClient) -> None:
    secret = "s3cr3t-p4ssw0rd"  # noqa: S105 -- a mark to look for, no password
    bodies: list[dict[str, Any]] = [
        {"seed": secret}, {"seeds": [secret]}, {"latents": [[secret]]}, {"n": secret}, {secret: 1},
        {"seed": 1, "model": secret}, {"seed": 1, "format": secret}, {"seed": 1, "include": [secret]},
        {"seed": 1, "class_id": secret}, {"seed": 1, "truncation": secret}, {"seed": 1, "layout": {secret: secret}},
    ]  # fmt: skip
    for body in bodies:
        response = generate(client, body)
        assert response.status_code in {404, 422}
        assert secret not in response.text
    assert secret not in client.post("/discriminate", json={"images": [secret + "!"]}).text
    assert secret not in client.get(f"/images/{secret}/{secret}.png?{secret}={secret}").text
    assert secret not in client.get(f"/{secret}").text


@pytest.mark.parametrize(
    "body",
    [
        {"seeds": ["x"] * 100_000},
        {"latents": [["x"]] * 100_000},
        {"latents": [["x"] * 100_000]},
        {"seed": 1, "class_id": ["x"] * 100_000},
        {"seed": 1, "include": ["x"] * 100_000},
        {f"field{index}": 1 for index in range(100_000)},
        ["x"] * 100_000,
    ],
)
def test_a_list_of_100_000_items_is_refused_quickly_and_briefly(client: AppClient, body: object) -> None:
    content = json.dumps(body).encode()
    began = time.perf_counter()
    problem(generate(client, content), 422, "invalid_request")
    assert time.perf_counter() - began < 1


def test_many_mistakes_are_told_ten_at_a_time(client: AppClient) -> None:
    found = problem(generate(client, {"seeds": ["x"] * 200}), 422, "invalid_request")
    assert len(found["errors"]) == 10


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "soon", "", "1e3", "9" * 20])
def test_a_deadline_that_is_no_number_of_milliseconds_is_422(client: AppClient, value: str) -> None:
    response = client.post("/generate", json={"seed": 1}, headers={"X-Request-Timeout-Ms": value})
    problem(response, 422, "invalid_request")


@pytest.mark.parametrize("seed", ["-1", "4294967296", "1.0", "x", "007", "1e3", "99999999999999999999", "%20", "٣"])
def test_an_image_url_needs_a_plain_seed(client: AppClient, seed: str) -> None:
    problem(client.get(f"/images/tiny/{seed}.png"), 422, "invalid_request")


@pytest.mark.parametrize(
    "query",
    [
        "class_id=3",
        "class_id=x",
        "class_id=",
        "class_id=1&class_id=1",
        "truncation=2",
        "truncation=nan",
        "x=1",
        "truncation=1e999",
    ],
)
def test_a_wrong_query_of_an_image_url_is_422(client: AppClient, query: str) -> None:
    problem(client.get(f"/images/tiny/1.png?{query}"), 422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        {"images": []},
        {"images": "text"},
        {"images": [1]},
        {"images": [""]},
        {"images": ["not base64!"]},
        {"images": ["ä"]},
        {},
        {"images": [base64.b64encode(png()).decode()], "class_id": 3},
        {"images": [base64.b64encode(png()).decode()], "class_id": [0, 1]},
        {"images": [base64.b64encode(png()).decode()], "include": ["pixels"]},
        {"images": [base64.b64encode(png()).decode()], "model": "plain", "class_id": 0},
        {"images": ["AAAA"] * 257},
    ],
)
def test_a_wrong_field_of_a_discriminate_request_is_422(client: AppClient, body: object) -> None:
    problem(client.post("/discriminate", json=body), 422, "invalid_request")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=", b"--x\r\n"),
        ("multipart/form-data; boundary=" + "x" * 71, b"--x\r\n"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"no parts"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="images"\r\n\r\nabc'),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nabc\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nbad header\r\n\r\nabc\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n\xff\r\n--x--\r\n',
        ),
    ],
)
def test_a_malformed_form_is_422(client: AppClient, content_type: str, body: bytes) -> None:
    response = client.post("/discriminate", content=body, headers={"Content-Type": content_type})
    problem(response, 422, "invalid_request")


def test_a_form_with_too_many_parts_is_422(client: AppClient) -> None:
    problem(upload(client, *[b"x"] * 300), 422, "invalid_request")


# 404


@pytest.mark.parametrize(
    "name", ["nope", "tiny@9", "tiny@", "@1", "TINY", "tiny@0", "tiny@-1", "a/b", "ü", "tiny@" + "9" * 30]
)
def test_an_unknown_model_or_version_is_404_model_not_found(client: AppClient, name: str) -> None:
    problem(generate(client, {"seed": 1, "model": name}), 404, "model_not_found")


def test_an_unknown_model_is_404_wherever_it_is_named(client: AppClient) -> None:
    problem(client.get("/models/nope"), 404, "model_not_found")
    problem(client.get("/images/nope/1.png"), 404, "model_not_found")
    body = {"images": [base64.b64encode(png()).decode()], "model": "nope"}
    problem(client.post("/discriminate", json=body), 404, "model_not_found")


@pytest.mark.parametrize("body", [{"best_of": 2}, {"min_realness": 0.5}, {"include": ["realness"]}])
def test_a_model_without_discriminator_is_404_discriminator_unavailable(
    client: AppClient, body: dict[str, Any]
) -> None:
    problem(generate(client, {"seed": 1, "model": "lone"} | body), 404, "discriminator_unavailable")
    scored = {"images": [base64.b64encode(png()).decode()], "model": "lone"}
    problem(client.post("/discriminate", json=scored), 404, "discriminator_unavailable")


def test_a_model_without_encoder_is_404_encoder_unavailable(client: AppClient) -> None:
    problem(client.post("/invert", files=[("images", ("image", png()))]), 404, "encoder_unavailable")


def test_a_discriminator_that_is_switched_off_is_404_discriminator_unavailable(serve: Serve) -> None:
    problem(upload(serve(discriminator=False), png()), 404, "discriminator_unavailable")


@pytest.mark.parametrize(
    "path", ["/nope", "/generate/", "/images/tiny/1.gif", "/images/tiny/1", "/docs/assets/nope.js", "/v2", "/%00"]
)
def test_a_path_that_is_not_there_is_404_not_found(client: AppClient, path: str) -> None:
    problem(client.get(path), 404, "not_found")


# 405, 406


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/generate", "POST"),
        ("HEAD", "/generate", "POST"),
        ("PUT", "/discriminate", "POST"),
        ("POST", "/models", "GET, HEAD"),
        ("DELETE", "/images/tiny/1.png", "GET, HEAD"),
        ("OPTIONS", "/livez", "GET, HEAD"),
        ("BREW", "/generate", "POST"),
    ],
)
def test_a_wrong_method_is_405_and_says_what_is_allowed(client: AppClient, method: str, path: str, allow: str) -> None:
    response = client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allow
    if method == "HEAD":
        assert response.content == b""
    else:
        problem(response, 405, "method_not_allowed")


@pytest.mark.parametrize("accept", ["text/html", "image/gif", "application/json;q=0"])
def test_nothing_acceptable_is_406(client: AppClient, accept: str) -> None:
    problem(client.post("/generate", json={"seed": 1}, headers={"Accept": accept}), 406, "not_acceptable")


def test_several_images_as_one_picture_are_406(client: AppClient) -> None:
    problem(client.post("/generate", json={"n": 2}, headers={"Accept": "image/png"}), 406, "not_acceptable")


def test_scores_as_a_picture_are_406(client: AppClient) -> None:
    body = {"images": [base64.b64encode(png()).decode()]}
    problem(client.post("/discriminate", json=body, headers={"Accept": "image/png"}), 406, "not_acceptable")


# 415


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": ""},
        {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "identity"},
    ],
)
def test_a_wrong_content_type_or_any_encoding_is_415(client: AppClient, headers: Mapping[str, str]) -> None:
    body = zlib.compress(b'{"seed": 1}') if headers.get("Content-Encoding") == "gzip" else b'{"seed": 1}'
    problem(client.post("/generate", content=body, headers=headers), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "value", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_in_utf_8_is_taken_however_it_is_spelt(client: AppClient, value: str) -> None:
    assert client.post("/generate", content=b'{"seed": 1}', headers={"Content-Type": value}).status_code == 200


@pytest.mark.parametrize(
    "data", [b"hello", b"GIF89a" + bytes(50), b"BM" + bytes(50), b"<svg/>", b"%PDF-1.4", b"\x00" * 100]
)
def test_an_upload_that_is_no_png_jpeg_or_webp_is_415(client: AppClient, data: bytes) -> None:
    problem(upload(client, png(), data), 415, "unsupported_media_type")
    body = {"images": [base64.b64encode(data).decode()]}
    problem(client.post("/discriminate", json=body), 415, "unsupported_media_type")


# 413


@pytest.mark.parametrize("path", ["/generate", "/discriminate"])
def test_a_body_over_the_limit_is_413(serve: Serve, path: str) -> None:
    client = serve(max_body_bytes=1000)
    response = client.post(path, content=b" " * 1001, headers=JSON)
    problem(response, 413, "payload_too_large")
    assert response.headers["connection"] == "close"


def test_a_chunked_body_over_the_limit_is_413_before_it_ends(serve: Serve) -> None:
    client = serve(max_body_bytes=1000)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(10_000):
            sent += 100
            yield b" " * 100

    problem(client.post("/generate", content=endless(), headers=JSON), 413, "payload_too_large")
    assert sent < 2000


def test_a_body_at_the_limit_is_read(serve: Serve) -> None:
    client = serve(max_body_bytes=1000)
    assert client.post("/generate", content=b'{"seed": 1}'.ljust(1000), headers=JSON).status_code == 200


def test_an_image_over_the_pixel_limit_is_413_before_it_is_decoded(serve: Serve) -> None:
    client = serve(max_pixels=64 * 64)
    assert upload(client, png(64, 64)).status_code == 200
    problem(upload(client, png(65, 64)), 413, "payload_too_large")
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    head = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    bomb += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    problem(upload(client, bomb), 413, "payload_too_large")


# 422 invalid_image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_image_is_422_invalid_image(client: AppClient, kind: str) -> None:
    data = png(40, 40, format=kind)
    problem(upload(client, data[: len(data) // 2]), 422, "invalid_image")


def test_a_corrupt_image_is_422_invalid_image(client: AppClient) -> None:
    data = bytearray(png(40, 40))
    data[len(data) // 2] ^= 1
    problem(upload(client, bytes(data)), 422, "invalid_image")


def test_a_1x1_image_is_422_invalid_image(client: AppClient) -> None:
    problem(upload(client, png(1, 1)), 422, "invalid_image")


def test_every_code_of_the_table_is_named_by_a_test() -> None:
    from pathlib import Path  # noqa: PLC0415 -- this test alone reads tests

    folder = Path(__file__).parent
    tests = "".join((folder / f"test_{name}.py").read_text() for name in ("error_table", "limits", "gate"))
    codes = {row.code for row in TABLE.values()} | {INTERNAL.code}
    assert {code for code in codes if f'"{code}"' not in tests} == set()
