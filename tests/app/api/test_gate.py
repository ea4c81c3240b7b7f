"""The gate: what it refuses, what always comes in, and how it tells a burst from an overload."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from app.api.gate import Gate
from app.errors import CapacityError, QueueFull
from app.metrics import Metrics

SMALL = [(b"host", b"x"), (b"content-length", b"20")]


class World:
    """What the gate sees, and a clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.full: CapacityError | None = None
        self.crowd = 1000
        self.metrics = Metrics(CollectorRegistry())
        self.gate = Gate(
            hopeless=lambda: self.full, in_flight=lambda: self.crowd, metrics=self.metrics, clock=lambda: self.now
        )

    def look(self, lag_s: float, *, times: int = 1) -> None:
        """Let the gate look at intervals of its own plus the lag."""
        for _ in range(times):
            self.now += 0.025 + lag_s
            self.gate.look(lag_s)

    def post(
        self, path: bytes = b"/generate", headers: list[tuple[bytes, bytes]] = SMALL, *, keep_alive: bool = True
    ) -> bytes | None:
        return self.gate.refusal(b"POST", path, headers, keep_alive=keep_alive)

    def get(self, path: bytes) -> bytes | None:
        return self.gate.refusal(b"GET", path, [(b"host", b"x")], keep_alive=True)

    def refused_of(self, count: int) -> int:
        return sum(self.post() is not None for _ in range(count))


@pytest.fixture
def world() -> Iterator[World]:
    """A gate that is open on a loop which does not turn: it looks when a test says so."""
    loop, world = asyncio.new_event_loop(), World()
    world.gate.open(loop)
    yield world
    world.gate.close()
    loop.close()


def test_while_nothing_is_wrong_everything_comes_in(world: World) -> None:
    world.look(0.0)
    assert world.refused_of(100) == 0


def test_full_queues_refuse_images_with_the_problem_that_the_queue_has(world: World) -> None:
    world.full = QueueFull("the queue of images is full", retry_after_s=6.2)
    world.look(0.0)
    answer = world.post()
    assert answer is not None
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    problem = json.loads(body)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert headers["content-length"] == str(len(body))
    assert headers["content-type"] == "application/problem+json"
    assert headers["retry-after"] == "7"
    assert headers["x-content-type-options"] == "nosniff"
    assert problem["code"] == "queue_full"
    assert problem["request_id"] == headers["x-request-id"]
    assert "connection" not in headers


def test_every_refusal_has_an_id_of_its_own_or_the_clients(world: World) -> None:
    world.full = QueueFull("full")
    world.look(0.0)
    ids = {json.loads((world.post() or b"").partition(b"\r\n\r\n")[2])["request_id"] for _ in range(3)}
    assert len(ids) == 3
    named = world.post(headers=[*SMALL, (b"x-request-id", b"mine-42")]) or b""
    head, _, body = named.partition(b"\r\n\r\n")
    assert b"x-request-id: mine-42" in head
    assert b"content-length: %d" % len(body) in head
    assert json.loads(body)["request_id"] == "mine-42"


def test_a_client_that_wants_to_go_is_told_that_it_may(world: World) -> None:
    world.full = QueueFull("full")
    world.look(0.0)
    assert b"connection: close\r\n" in (world.post(keep_alive=False) or b"")


def test_refusals_are_counted(world: World) -> None:
    world.full = QueueFull("full")
    world.look(0.0)
    assert world.post() is not None
    assert world.get(b"/images/mnist/1.png") is not None
    value = world.metrics.registry.get_sample_value
    assert value("gan_rejected_total", {"reason": "queue_full"}) == 2
    assert value("gan_requests_total", {"endpoint": "/generate", "code": "503"}) == 1


def test_full_queues_of_images_leave_everything_else_alone(world: World) -> None:
    world.full = QueueFull("full")
    world.look(0.0)
    assert world.post(b"/discriminate") is None
    assert world.get(b"/models") is None
    world.full = None
    world.look(0.0)
    assert world.post() is None


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"70000")],
        [(b"transfer-encoding", b"chunked")],
        [(b"content-length", b"20"), (b"expect", b"100-continue")],
        [],
    ],
    ids=["large", "chunked", "expecting", "unknown"],
)
def test_what_takes_reading_to_be_refused_comes_in(world: World, headers: list[tuple[bytes, bytes]]) -> None:
    world.full = QueueFull("full")
    world.look(0.0)
    assert world.post(headers=headers) is None


def test_a_burst_is_let_in(world: World) -> None:
    world.look(0.25)
    assert world.refused_of(100) == 0


def test_a_loop_that_stays_late_turns_a_share_of_the_requests_away(world: World) -> None:
    world.look(0.1, times=5)
    share = world.gate.refused_share
    assert 0.3 < share < 0.95
    assert world.refused_of(200) == pytest.approx(200 * share, abs=1.5)
    refused = next(answer for answer in (world.post() for _ in range(10)) if answer is not None)
    assert json.loads(refused.partition(b"\r\n\r\n")[2])["code"] == "overloaded"


def test_the_share_grows_while_the_loop_is_late_and_is_gone_soon_after(world: World) -> None:
    world.look(0.1, times=5)
    before = world.gate.refused_share
    world.look(0.1, times=5)
    assert world.gate.refused_share > before
    began = world.now
    while world.gate.refused_share:
        world.look(0.0)
    assert world.now - began < 5
    assert world.refused_of(100) == 0


def test_with_few_requests_a_late_loop_has_other_reasons(world: World) -> None:
    world.crowd = 20
    world.look(0.2, times=10)
    assert world.refused_of(100) == 0


@pytest.mark.parametrize("path", [b"/livez", b"/readyz", b"/healthz", b"/metrics", b"/livez?x=1"])
def test_probes_always_come_in(world: World, path: bytes) -> None:
    world.full = QueueFull("full")
    world.look(0.5, times=20)
    assert [world.get(path) for _ in range(100)] == [None] * 100


def test_between_two_looks_only_so_many_come_in(world: World) -> None:
    world.look(0.0)
    assert world.refused_of(600) == 600 - 512
    assert world.get(b"/livez") is None
    world.look(0.0)
    assert world.refused_of(512) == 0


def test_those_that_were_refused_read_again_in_their_turn(world: World) -> None:
    order: list[int] = []
    for number in range(600):
        world.gate.rest(lambda number=number: order.append(number))  # type: ignore[misc]  # bound now
    world.look(0.0)
    assert order == list(range(512))
    world.gate.close()
    assert order == list(range(600))


def test_a_closed_gate_lets_everything_in(world: World) -> None:
    world.full = QueueFull("full")
    world.look(0.0)
    world.gate.close()
    assert world.refused_of(1000) == 0


def test_an_open_gate_looks_by_itself() -> None:
    async def look_once() -> bytes | None:
        world = World()
        world.full = QueueFull("full")
        world.gate.open(asyncio.get_running_loop())
        try:
            refused = world.post()
            world.full = None
            async with asyncio.timeout(10):
                while world.post() is not None:  # noqa: ASYNC110 -- what the gate sees has no event
                    await asyncio.sleep(0.005)
            return refused
        finally:
            world.gate.close()

    assert asyncio.run(look_once()) is not None
