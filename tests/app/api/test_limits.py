"""The rows of the error table about who may ask, how often, and what the service can bear."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from app.api.keys import read_keys
from app.api.rate_limit import TokenBuckets
from app.engines.base import Arrays, Engine
from app.engines.onnx import open_engine
from app.errors import RateLimited, SettingsError
from app.main import create_app
from tests.app.api.conftest import Serve, settings_of
from tests.app.api.test_error_table import JSON, generate, problem
from tests.fakes.client import AppClient, running

KEY = "0123456789abcdef"
PROTECTED = [
    ("POST", "/generate"),
    ("POST", "/discriminate"),
    ("POST", "/invert"),
    ("GET", "/models"),
    ("GET", "/images/tiny/1.png"),
    ("GET", "/metrics"),
    ("GET", "/nope"),
]
OPEN = ["/livez", "/readyz", "/healthz", "/docs", "/openapi.json", "/docs/assets/start.js"]


class HeldEngine:
    """A real engine behind a gate: while the gate is shut, `run` waits; `spoil` may change what comes out."""

    def __init__(self, model: bytes, held: "Held") -> None:
        self._engine = open_engine(model, device="cpu", threads=1)
        self._held = held

    @property
    def provider(self) -> str:
        return self._engine.provider

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        self._held.entered.set()
        self._held.gate.wait(30)
        if self._held.failure is not None:
            raise self._held.failure
        outputs = self._engine.run(inputs)
        self._held.runs += 1
        if self._held.spoil and "logit" in outputs:
            outputs["logit"] = np.full_like(outputs["logit"], np.nan)
        return outputs

    def close(self) -> None:
        self._engine.close()


class Held:
    """What a test holds in its hands of every engine of an app."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.failure: Exception | None = None
        self.spoil = False
        self.runs = 0

    def shut(self) -> None:
        """Let no batch through until the gate is set again."""
        self.entered.clear()
        self.gate.clear()

    def __call__(self, model: bytes, *, device: str, threads: int) -> Engine:
        return HeldEngine(model, self)


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.gate.set()


@pytest.fixture
def serve_held(models: Path, held: Held) -> Iterator[Serve]:
    with ExitStack() as stack:
        stack.callback(held.gate.set)
        yield lambda *, wait=True, **changes: stack.enter_context(
            running(create_app(settings_of(models, **{"sessions": 1, **changes}), open_engine=held), wait=wait)
        )


class Pending:
    """A request under way on the client's event loop."""

    def __init__(self, client: AppClient, body: object, headers: Mapping[str, str] | None = None) -> None:
        self._future = client.portal.start_task_soon(
            partial(client.asend, "POST", "/generate", json=body, headers=headers)
        )

    def answer(self) -> httpx.Response:
        return self._future.result(30)

    def cancel(self) -> None:
        self._future.cancel()


# 401


@pytest.fixture(scope="module")
def keyed(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppClient]:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"# who may ask\n\n{KEY}\nanother-valid-key-456\n")
    with running(create_app(settings_of(models, api_keys_file=path))) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"Authorization": "Bearer "},
        {"X-API-Key": ""},
        {"X-API-Key": KEY[:-1]},
        {"X-API-Key": f"{KEY}x"},
        {"X-API-Key": "# who may ask"},
    ],
)
def test_no_key_or_a_wrong_one_is_401(keyed: AppClient, method: str, path: str, headers: Mapping[str, str]) -> None:
    response = keyed.request(method, path, headers=headers)
    problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"X-API-Key": KEY},
        {"X-API-Key": "another-valid-key-456"},
    ],
)
def test_any_of_the_keys_opens_in_either_header(keyed: AppClient, headers: Mapping[str, str]) -> None:
    assert keyed.get("/models", headers=headers).status_code == 200


@pytest.mark.parametrize("path", OPEN)
def test_probes_and_the_reference_are_never_behind_the_key(keyed: AppClient, path: str) -> None:
    assert keyed.get(path).status_code == 200


def test_the_reference_says_that_a_key_is_needed(keyed: AppClient, client: AppClient) -> None:
    assert keyed.get("/openapi.json").json()["security"] == [{"bearer": []}, {"header": []}]
    assert "security" not in client.get("/openapi.json").json()


@pytest.mark.parametrize("text", ["", "# nothing\n", "short\n", "key with spaces in it\n", "schlüssel-mit-umlaut\n"])
def test_a_file_without_usable_keys_is_fatal(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(SettingsError, match="GANSERVE_API_KEYS_FILE"):
        read_keys(path)


def test_a_file_of_keys_that_is_not_there_is_fatal(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_keys(tmp_path / "nope")


# 429


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    now = 100.0
    buckets = TokenBuckets(2.0, 3, clock=lambda: now)
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(RateLimited) as refused:
        buckets.take("a")
    assert refused.value.retry_after_s == pytest.approx(0.5)
    buckets.take("b")
    now += 0.5
    buckets.take("a")
    with pytest.raises(RateLimited):
        buckets.take("a")


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    now = 0.0
    buckets = TokenBuckets(1000.0, 2, clock=lambda: now)
    buckets.take("a")
    now += 3600
    buckets.take("a")
    buckets.take("a")
    with pytest.raises(RateLimited):
        buckets.take("a")


def test_a_client_over_its_rate_is_429_with_retry_after(serve: Serve) -> None:
    client = serve(rate_limit_per_s=0.01, rate_limit_burst=2)
    assert [generate(client, {"seed": 1}).status_code for _ in range(2)] == [200, 200]
    response = generate(client, {"seed": 1})
    problem(response, 429, "rate_limited")
    assert 1 <= int(response.headers["retry-after"]) <= 100
    for path in ["/metrics", *OPEN]:
        assert client.get(path).status_code == 200


def test_each_key_has_a_bucket_of_its_own(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{KEY}\nanother-valid-key-456\n")
    client = serve(api_keys_file=path, rate_limit_per_s=0.01, rate_limit_burst=1)
    statuses = [
        client.get("/models", headers={"X-API-Key": key}).status_code for key in (KEY, "another-valid-key-456", KEY)
    ]
    assert statuses == [200, 200, 429]


# 503


def test_a_full_queue_is_503_with_retry_after(serve_held: Serve, held: Held) -> None:
    client = serve_held(max_queue_images=4, max_images_per_request=4, max_batch_size=1)
    held.shut()
    running_now = Pending(client, {"seed": 1})
    assert held.entered.wait(10)
    waiting = Pending(client, {"seeds": [2, 3, 4, 5]})
    depth = client.service.registry.default.generator
    while depth.queue_depth < 4:
        client.portal.call(asyncio.sleep, 0.001)
    response = generate(client, {"seed": 6})
    problem(response, 503, "queue_full")
    assert int(response.headers["retry-after"]) >= 1
    held.gate.set()
    assert running_now.answer().status_code == waiting.answer().status_code == 200


def test_before_the_models_are_loaded_work_is_503_not_ready(serve_held: Serve, held: Held) -> None:
    held.shut()
    client = serve_held(wait=False)
    assert held.entered.wait(10)
    assert client.get("/livez").status_code == 200
    for response in (
        generate(client, {"seed": 1}),
        client.get("/readyz"),
        client.get("/healthz"),
        client.get("/models"),
        client.get("/images/tiny/1.png"),
    ):
        problem(response, 503, "not_ready")
        assert int(response.headers["retry-after"]) >= 1
    assert "gan_ready 0.0" in client.get("/metrics").text
    held.gate.set()
    client.portal.call(client.service.lifecycle.until_loaded)
    assert client.get("/readyz").status_code == 200
    assert "gan_ready 1.0" in client.get("/metrics").text


def test_while_draining_new_work_is_503_and_what_is_under_way_ends(serve_held: Serve, held: Held) -> None:
    client = serve_held()
    held.shut()
    under_way = Pending(client, {"seed": 1})
    assert held.entered.wait(10)
    client.service.lifecycle.begin_drain()
    for response in (generate(client, {"seed": 2}), client.get("/readyz"), client.get("/healthz")):
        problem(response, 503, "draining")
        assert int(response.headers["retry-after"]) >= 1
        assert response.headers["connection"] == "close"
    assert client.get("/livez").status_code == 200
    held.gate.set()
    assert under_way.answer().status_code == 200


# 504 and 408


def test_a_deadline_that_passes_is_504_and_queued_work_is_not_run(serve_held: Serve, held: Held) -> None:
    client = serve_held(max_batch_size=1)
    before = held.runs
    held.shut()
    first = Pending(client, {"seed": 1})
    assert held.entered.wait(10)
    late = Pending(client, {"seed": 2}, {"X-Request-Timeout-Ms": "50"})
    problem(late.answer(), 504, "deadline_exceeded")
    held.gate.set()
    assert first.answer().status_code == 200
    assert generate(client, {"seed": 3}).status_code == 200
    assert held.runs - before == 2


def test_the_default_deadline_holds_and_a_client_cannot_stretch_it(serve_held: Serve, held: Held) -> None:
    client = serve_held(request_timeout_s=0.1)
    held.shut()
    pending = Pending(client, {"seed": 1}, {"X-Request-Timeout-Ms": "60000"})
    problem(pending.answer(), 504, "deadline_exceeded")
    held.gate.set()


def test_a_body_that_does_not_arrive_in_time_is_408(serve: Serve) -> None:
    client = serve(request_timeout_s=0.1)

    async def stalled() -> AsyncIterator[bytes]:
        yield b'{"seed"'
        await asyncio.Event().wait()

    response = client.post("/generate", content=stalled(), headers=JSON)
    problem(response, 408, "request_timeout")
    assert response.headers["connection"] == "close"


def test_a_client_that_leaves_takes_its_work_out_of_the_queue(serve_held: Serve, held: Held) -> None:
    client = serve_held(max_batch_size=1)
    held.shut()
    first = Pending(client, {"seed": 1})
    assert held.entered.wait(10)
    queue = client.service.registry.default.generator
    status = client.portal.call(leave_once_queued, client, queue)
    assert queue.queue_depth == 0
    held.gate.set()
    assert first.answer().status_code == 200
    # "client_closed_request" is what the metrics and the log say; the client is not there to read it.
    assert status == 499
    assert 'gan_rejected_total{reason="client_closed_request"} 1.0' in client.get("/metrics").text


async def leave_once_queued(client: AppClient, queue: Any) -> int:  # noqa: ANN401 -- anything with a depth
    body = iter([{"type": "http.request", "body": b'{"seed": 2}', "more_body": False}])
    sent: list[Any] = []

    async def receive() -> Any:  # noqa: ANN401 -- an ASGI message
        message = next(body, None)
        if message is not None:
            return message
        while not queue.queue_depth:  # noqa: ASYNC110 -- a depth is all that a queue shows of itself
            await asyncio.sleep(0.001)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:  # noqa: ANN401 -- an ASGI message
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/generate",
        "query_string": b"",
        "headers": headers,
        "client": None,
    }
    await client.app(scope, receive, send)
    return int(sent[0]["status"])


# 500


def test_an_engine_that_fails_is_500_model_error_without_details(
    serve_held: Serve, held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve_held()
    held.failure = RuntimeError("secret path /opt/weights")
    found = problem(generate(client, {"seed": 1}), 500, "model_error")
    assert "secret" not in str(found)
    assert "secret path" in caplog.text
    held.failure = None
    assert generate(client, {"seed": 1}).status_code == 200


def test_scores_that_are_not_finite_are_500_model_error(serve_held: Serve, held: Held) -> None:
    client = serve_held()
    held.spoil = True
    problem(generate(client, {"seed": 1, "include": ["realness"]}), 500, "model_error")


def test_an_unforeseen_failure_is_500_internal_error_without_details(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve()
    client.service.workers.close()
    response = client.post("/generate", json={"n": 100}, headers={"X-Request-Id": "find-me"})
    found = problem(response, 500, "internal_error")
    assert "executor" not in str(found).lower()
    assert "cannot schedule new futures" in caplog.text


def test_a_dead_batcher_is_not_live(serve_held: Serve, held: Held) -> None:
    client = serve_held()
    client.service.registry.default.generator.close()
    problem(client.get("/livez"), 503, "not_live")
    problem(client.get("/readyz"), 503, "not_live")
    problem(client.get("/healthz"), 503, "not_live")
    assert "gan_ready 0.0" in client.get("/metrics").text
