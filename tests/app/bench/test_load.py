"""The closed loop against real sockets."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from app.bench.load import Cell, Requests, Target, measure
from app.bench.tables import loads

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@contextmanager
def serving(answer: Callable[[int], bytes | None]) -> Iterator[Target]:
    """A server that gives its n-th request `answer(n)`; None closes the connection, and b"" leaves it unanswered."""
    port: list[int] = []
    up, count = threading.Event(), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.rpartition(b"Content-Length: ")[2]))
                reply = answer(count)
                count += 1
                if reply is None:
                    break
                writer.write(reply)
                if reply is CLOSING:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port.append(server.sockets[0].getsockname()[1])
        done.append((asyncio.get_running_loop(), stop := asyncio.Event()))
        up.set()
        await stop.wait()
        server.close()
        # What never got an answer is still waiting for the next request.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    done: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert up.wait(10)
    try:
        yield Target("127.0.0.1", port[0])
    finally:
        loop, stop = done[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def test_requests_images_and_every_latency_are_counted() -> None:
    with serving(lambda _: OK) as target:
        found = measure(target, Cell(2, 3), warm_up_s=0.0, seconds=0.2)
    assert found.statuses == {"200": found.good}
    assert found.errors == 0
    assert found.good > 10
    assert found.images_per_s == pytest.approx(3 * found.requests_per_s)
    assert found.requests_per_s == pytest.approx(found.good / found.seconds)
    assert 0 < found.p50_ms <= found.p90_ms <= found.p99_ms
    assert found.client_cpu_share > 0


def test_answers_that_are_not_2xx_are_shown_and_count_for_nothing() -> None:
    with serving(lambda number: BUSY if number % 2 else OK) as target:
        found = measure(target, Cell(1, 1), warm_up_s=0.0, seconds=0.2)
    assert found.errors == found.statuses["503"] > 0
    assert found.good == found.statuses["200"]
    assert f"(503: {found.errors})" in loads([found])


def test_where_nothing_was_good_no_latency_is_made_up() -> None:
    with serving(lambda _: BUSY) as target:
        found = measure(target, Cell(1, 1), warm_up_s=0.0, seconds=0.1)
    assert found.good == 0
    assert found.as_json()["p99_ms"] is None
    assert json.loads(json.dumps(found.as_json()))["errors"] == found.statuses["503"]


def test_a_connection_that_breaks_is_an_error_and_is_replaced() -> None:
    with serving(lambda number: None if number == 5 else OK) as target:
        found = measure(target, Cell(1, 1), warm_up_s=0.0, seconds=0.3)
    assert found.statuses["lost"] == 1
    assert found.good > 5


def test_a_connection_that_the_server_closes_after_an_answer_is_no_error() -> None:
    with serving(lambda number: CLOSING if number % 2 else OK) as target:
        found = measure(target, Cell(1, 1), warm_up_s=0.0, seconds=0.3)
    assert found.errors == 0
    assert found.good > 2


def test_a_server_that_never_answers_is_told_and_not_waited_for_without_end() -> None:
    with serving(lambda _: b"") as target:
        found = measure(target, Cell(2, 1), warm_up_s=0.1, seconds=0.1)
    assert found.statuses == {"unanswered": 2}
    assert found.seconds < 5


def test_a_server_that_is_gone_is_counted() -> None:
    with serving(lambda _: OK) as target:
        pass
    found = measure(target, Cell(1, 1), warm_up_s=0.0, seconds=0.2)
    assert found.good == 0
    assert found.statuses["lost"] >= 1


def test_no_seed_is_asked_for_twice() -> None:
    requests = Requests(Target("127.0.0.1", 80), 3)
    bodies = [json.loads(next(requests).partition(b"\r\n\r\n")[2]) for _ in range(50)]
    seeds = [seed for body in bodies for seed in body["seeds"]]
    assert len(set(seeds)) == 150
    assert all(0 <= seed < 2**32 for seed in seeds)
    again = json.loads(next(Requests(Target("127.0.0.1", 80), 3)).partition(b"\r\n\r\n")[2])
    assert again["seeds"] != bodies[0]["seeds"]


@pytest.mark.parametrize(
    ("image_format", "images", "accept"),
    [
        ("png", 1, b"image/png"),
        ("webp", 1, b"image/webp"),
        ("jpeg", 4, b"application/json"),
        ("npy", 4, b"application/x-npy"),
    ],
)
def test_a_request_accepts_what_its_images_come_as(image_format: str, images: int, accept: bytes) -> None:
    target = Target("127.0.0.1", 80, image_format, model="tiny@1", api_key="0123456789abcdef")  # type: ignore[arg-type]  # one of them
    head, _, body = next(Requests(target, images)).partition(b"\r\n\r\n")
    assert b"\r\nAccept: " + accept + b"\r\n" in head
    assert b"\r\nAuthorization: Bearer 0123456789abcdef\r\n" in head
    assert int(head.rpartition(b"Content-Length: ")[2]) == len(body)
    assert json.loads(body)["model"] == "tiny@1"
