"""The load generator against real servers on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks import load, prove
from benchmarks.drivers import ClosedLoop, OpenLoop, Target
from benchmarks.orders import Template, generate, write_templates
from benchmarks.tally import Summary

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
GET = Template("/", "GET", images=3)


@asynccontextmanager
async def _serving(answer: Callable[[int], bytes | None]) -> AsyncIterator[int]:
    """The port of a server that gives its n-th request `answer(n)`; None closes the connection instead."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                reply = answer(count)
                count += 1
                if reply is None:
                    break
                writer.write(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _closed(answer: Callable[[int], bytes | None], *, requests: int, timeout_s: float = 10.0) -> Summary:
    async with _serving(answer) as port:
        loop = ClosedLoop(Target(port, [GET], timeout_s=timeout_s), connections=2)
        return await loop.run(warm_up_s=0.0, seconds=20.0, requests=requests)


def test_a_closed_loop_counts_requests_images_and_latencies() -> None:
    found = asyncio.run(_closed(lambda _: OK, requests=100))
    assert found.good >= 100
    assert found.errors == 0
    assert found.statuses == {"200": found.good}
    assert found.images_per_s == pytest.approx(3 * found.requests_per_s)
    assert 0 < found.p50_ms <= found.p99_ms <= found.max_ms


def test_a_refusal_is_no_good_answer_and_its_retry_after_is_seen() -> None:
    found = asyncio.run(_closed(lambda n: BUSY if n % 2 else OK, requests=20))
    assert found.statuses["503"] == found.errors == found.refused_with_retry_after > 0


def test_a_closed_connection_is_an_error_and_is_replaced() -> None:
    found = asyncio.run(_closed(lambda n: None if n == 5 else OK, requests=50))
    assert found.statuses["lost"] == 1
    assert found.good >= 50


def test_a_server_that_is_not_there_is_counted_and_not_waited_for() -> None:
    async def drive() -> Summary:
        async with _serving(lambda _: OK) as port:
            pass
        return await ClosedLoop(Target(port, [GET]), connections=1).run(warm_up_s=0.0, seconds=0.2, requests=1)

    found = asyncio.run(drive())
    assert found.good == 0
    assert found.statuses["lost"] >= 1


def test_an_open_loop_sends_at_its_rate_whatever_comes_back() -> None:
    async def drive() -> Summary:
        async with _serving(lambda _: BUSY) as port:
            loop = OpenLoop(Target(port, [GET]), rate_per_s=100.0, max_connections=10, keep_timeline=True)
            return await loop.run(warm_up_s=0.0, seconds=1.0)

    found = asyncio.run(drive())
    assert 90 <= sum(found.statuses.values()) <= 102
    assert found.refused_p99_ms > 0
    due = [entry[0] for entry in sorted(found.timeline)]
    assert due[10] - due[0] == pytest.approx(0.1, abs=0.001)


def test_an_open_loop_says_what_it_could_not_send() -> None:
    async def drive() -> Summary:
        async with _serving(lambda _: b"") as port:  # takes requests and never answers
            return await OpenLoop(Target(port, [GET]), rate_per_s=50.0, max_connections=2).run(
                warm_up_s=0.0, seconds=0.5
            )

    found = asyncio.run(drive())
    assert found.good == 0
    assert found.statuses["unsent"] >= 20


def test_the_generator_in_its_own_process_drives_a_static_route(tmp_path: Path) -> None:
    write_templates(tmp_path / "templates.json", [generate(1, "png")])
    with prove.static_route() as port:
        process = load.spawn(
            port, tmp_path / "templates.json", seconds=20.0, warm_up_s=0.0, connections=4, requests=200
        )
        found = load.collect(process, timeout_s=60)
    assert found.good >= 200
    assert found.errors == 0
    assert found.client_cpu_share > 0
    assert "requests/s" in load.text(found)


def test_the_command_line_prints_what_a_program_can_read(capsys: pytest.CaptureFixture[str]) -> None:
    with prove.static_route() as port:
        load.main(["--port", str(port), "--connections", "1", "--requests", "5", "--warm-up-s", "0", "--json"])
    assert json.loads(capsys.readouterr().out)["good"] >= 5
