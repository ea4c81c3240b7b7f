import json
import pickle
import socket
import threading
from typing import Any

import httpx
import pytest

from ganserve_client import (
    ApiError,
    InvalidRequest,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    __version__,
)
from tests.client.both import Ask, FakeTime
from tests.client.scripted import Answer, scripted

MODELS = Answer(body=b'{"default": "tiny@1", "models": [], "failed": []}', headers={"Content-Type": "application/json"})
DROPPED = Answer(status=None)
GENERATED = Answer(
    body=json.dumps(
        {
            "id": "r",
            "model": {"name": "tiny", "version": 1, "digest": "d"},
            "images": [],
            "timings_ms": {"queue": 0, "inference": 0, "encode": 0},
        }
    ).encode()
)


def refusal(status: int, code: str, **headers: str) -> Answer:
    body = {"title": "No", "detail": "not now", "code": code, "status": status, "request_id": "theirs"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/problem+json", **named})


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


def test_a_full_service_is_asked_again_when_it_says(ask: Ask, time: FakeTime) -> None:
    full = refusal(503, "queue_full", Retry_After="2")
    with scripted([full, full, MODELS]) as server:
        assert ask(server.url, "models", settings={"time": time}).default == "tiny@1"
    assert time.slept == [2, 2]
    assert len(server.heard) == 3


def test_the_date_of_a_retry_after_counts_from_the_date_of_its_answer(ask: Ask, time: FakeTime) -> None:
    dates = {"Retry_After": "Wed, 21 Oct 2015 07:28:05 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    with scripted([refusal(503, "draining", **dates), MODELS]) as server:
        ask(server.url, "models", settings={"time": time})
    assert time.slept == [5]


@pytest.mark.parametrize("said", ["", "soon", "-3", "Wed, 21 Oct 2015 07:28:05 GMT"])
def test_a_retry_after_that_says_nothing_of_use_costs_no_long_wait(ask: Ask, time: FakeTime, said: str) -> None:
    with scripted([refusal(503, "draining", Retry_After=said), MODELS]) as server:
        ask(server.url, "models", settings={"time": time})
    assert 0 <= time.slept[0] <= 0.25


def test_without_a_retry_after_each_wait_is_about_twice_the_one_before_and_no_longer_than_eight_seconds(
    ask: Ask, time: FakeTime
) -> None:
    with scripted([*[refusal(503, "overloaded")] * 8, MODELS]) as server:
        ask(server.url, "models", settings={"time": time, "retries": 8, "timeout_s": 100})
    longest = [0.25, 0.5, 1, 2, 4, 8, 8, 8]
    assert all(most / 2 <= slept <= most for slept, most in zip(time.slept, longest, strict=True))


def test_the_refusal_is_raised_when_the_retries_are_spent(ask: Ask, time: FakeTime) -> None:
    with scripted([refusal(429, "rate_limited", Retry_After="1")]) as server, pytest.raises(RateLimited) as caught:
        ask(server.url, "generate", seed=1, settings={"time": time, "retries": 2})
    assert len(server.heard) == 3
    assert (caught.value.retry_after_s, caught.value.request_id) == (1, "theirs")


def test_a_wait_past_the_timeout_is_not_begun(ask: Ask, time: FakeTime) -> None:
    with scripted([refusal(503, "not_ready", Retry_After="10")]) as server, pytest.raises(Unavailable):
        ask(server.url, "models", settings={"time": time, "timeout_s": 10})
    assert (len(server.heard), time.slept) == (1, [])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (408, ApiError),
        (413, InvalidRequest),
        (415, InvalidRequest),
        (422, InvalidRequest),
        (500, ApiError),
        (502, ApiError),
        (504, ApiError),
    ],
)
def test_any_other_failure_is_raised_at_once(ask: Ask, time: FakeTime, status: int, kind: type[ApiError]) -> None:
    with scripted([refusal(status, "a_code", Retry_After="1")]) as server, pytest.raises(ApiError) as caught:
        ask(server.url, "models", settings={"time": time})
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code) == (status, "a_code")
    assert len(server.heard) == 1


@pytest.mark.parametrize("method", ["ready", "live"])
def test_a_probe_takes_no_for_an_answer(ask: Ask, time: FakeTime, method: str) -> None:
    with scripted([refusal(503, "not_ready", Retry_After="1")]) as server:
        assert ask(server.url, method, settings={"time": time}) is False
    assert (len(server.heard), time.slept) == (1, [])


def test_an_error_survives_the_way_between_processes(ask: Ask) -> None:
    with scripted([refusal(422, "invalid_request")]) as server, pytest.raises(InvalidRequest) as caught:
        ask(server.url, "models")
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 -- our own
    assert (type(again), str(again), again.problem) == (InvalidRequest, str(caught.value), caught.value.problem)


def test_fresh_seeds_that_were_refused_are_asked_for_again(ask: Ask, time: FakeTime) -> None:
    with scripted([refusal(503, "queue_full", Retry_After="1"), GENERATED]) as server:
        ask(server.url, "generate", n=1, settings={"time": time})
    assert len(server.heard) == 2


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("generate", {"seed": 1}),
        ("generate", {"latents": [[0.5]]}),
        ("archive", {"seeds": [1]}),
        ("image", {"seed": 1}),
    ],
)
def test_a_lost_connection_is_made_again_where_the_answer_is_the_same(
    ask: Ask, time: FakeTime, method: str, options: dict[str, Any]
) -> None:
    with scripted([DROPPED, GENERATED]) as server:
        ask(server.url, method, settings={"time": time}, **options)
    assert len(server.heard) == 2
    assert len(time.slept) == 1


@pytest.mark.parametrize("method", ["generate", "interpolate", "archive"])
def test_fresh_seeds_on_a_lost_connection_are_not_asked_for_twice(ask: Ask, time: FakeTime, method: str) -> None:
    with scripted([DROPPED]) as server, pytest.raises(Unreachable) as caught:
        ask(server.url, method, n=2, settings={"time": time})
    assert len(server.heard) == 1
    assert caught.value.request_id == server.heard[0].headers["X-Request-Id"]
    assert isinstance(caught.value.__cause__, httpx.RemoteProtocolError)


def test_nobody_listening_is_unreachable_after_the_retries(ask: Ask, time: FakeTime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unreachable):
        ask(f"http://127.0.0.1:{port}", "generate", n=1, settings={"time": time})
    assert len(time.slept) == 3


def test_no_answer_in_time_is_unreachable_and_not_asked_for_again(ask: Ask) -> None:
    silent = Answer(released=threading.Event())
    assert silent.released is not None
    with scripted([silent]) as server:
        try:
            with pytest.raises(Unreachable) as caught:
                ask(server.url, "models", settings={"timeout_s": 0.2})
        finally:
            silent.released.set()
    assert isinstance(caught.value.__cause__, httpx.ReadTimeout)
    assert len(server.heard) == 1


def test_every_attempt_says_who_asks_and_how_much_time_is_left(ask: Ask, time: FakeTime) -> None:
    with scripted([refusal(503, "queue_full", Retry_After="10"), MODELS]) as server:
        ask(server.url, "models", settings={"time": time, "timeout_s": 30, "api_key": "a-secret"})
    first, second = (heard.headers for heard in server.heard)
    assert (first["X-Request-Timeout-Ms"], second["X-Request-Timeout-Ms"]) == ("28500", "19000")
    assert first["X-Request-Id"] == second["X-Request-Id"]
    assert first["User-Agent"] == f"ganserve-client/{__version__}"
    assert first["Authorization"] == "Bearer a-secret"


def test_the_body_is_the_same_on_every_attempt(ask: Ask, time: FakeTime) -> None:
    with scripted([refusal(503, "queue_full", Retry_After="1"), GENERATED]) as server:
        ask(server.url, "generate", seeds=[1, 2], class_id=None, settings={"time": time})
    assert [json.loads(heard.body) for heard in server.heard] == [{"seeds": [1, 2]}] * 2


def test_the_failure_of_something_in_between_is_an_api_error_without_a_code(ask: Ask) -> None:
    page = Answer(502, b"<h1>Bad Gateway</h1>", {"Content-Type": "text/html"})
    broken = Answer(500, b'["no", "problem"]', {"Content-Type": "application/problem+json"})
    with scripted([page, broken]) as server:
        for status in (502, 500):
            with pytest.raises(ApiError) as caught:
                ask(server.url, "models")
            assert (caught.value.status, caught.value.code) == (status, None)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"default": 1, "models": 7, "failed": []}'])
def test_a_success_that_the_service_never_sends_is_named_so(ask: Ask, body: bytes) -> None:
    with scripted([Answer(body=body)]) as server, pytest.raises(UnexpectedAnswer) as caught:
        ask(server.url, "models")
    assert caught.value.request_id == server.heard[0].headers["X-Request-Id"]


def test_an_address_behind_a_prefix_is_kept(ask: Ask) -> None:
    with scripted([MODELS]) as server:
        ask(f"{server.url}/gan/", "models")
        url = ask(f"{server.url}/gan/", "image_url", 1, model="tiny")
    assert server.heard[0].path == "/gan/models"
    assert url == f"{server.url}/gan/images/tiny/1.png"


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("localhost:8000", {}),
        ("ftp://localhost", {}),
        ("", {}),
        ("http://localhost:port", {}),
        ("http://localhost", {"timeout_s": 0}),
        ("http://localhost", {"timeout_s": float("nan")}),
        ("http://localhost", {"retries": -1}),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(ask: Ask, url: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"address|positive|negative"):
        ask(url, "models", settings=settings)
