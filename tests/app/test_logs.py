import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from app.logs import REQUEST_ID, configure


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def _line(out: io.StringIO) -> dict[str, Any]:
    (line,) = out.getvalue().splitlines()
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def test_a_json_line_says_when_who_what_and_what_extra_gave(out: io.StringIO) -> None:
    configure("json", "info", out)
    logging.getLogger("app.x").warning("%d images", 3, extra={"model": "mnist@1"})
    line = _line(out)
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "logger": "app.x", "message": "3 images", "model": "mnist@1"}


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_lines_carry_the_id_of_the_request_being_served(log_format: Any, out: io.StringIO) -> None:  # noqa: ANN401
    configure(log_format, "info", out)
    token = REQUEST_ID.set("abc-123")
    try:
        logging.getLogger("app.x").info("inside")
    finally:
        REQUEST_ID.reset(token)
    logging.getLogger("app.x").info("outside")
    inside, outside = out.getvalue().splitlines()
    assert "abc-123" in inside
    assert "request_id" not in outside


def test_a_json_line_holds_the_traceback(out: io.StringIO) -> None:
    configure("json", "info", out)
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logging.getLogger("app.x").exception("it failed")
    assert "RuntimeError: boom" in _line(out)["exception"]


def test_a_console_line_shows_level_message_extra_and_traceback(out: io.StringIO) -> None:
    configure("console", "info", out)
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logging.getLogger("app.x").error("it failed", extra={"model": "m@1"}, exc_info=True)
    first, *rest = out.getvalue().splitlines()
    assert first.endswith("ERROR   it failed model=m@1")
    assert rest[-1] == "RuntimeError: boom"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_line_break_in_a_message_forges_no_line(log_format: Any, out: io.StringIO) -> None:  # noqa: ANN401
    configure(log_format, "info", out)
    logging.getLogger("app.x").info("GET /%s", "a\r\n00:00:00 INFO forged", extra={"path": "b\nforged\x1b[2J\u2028"})
    assert len(out.getvalue().splitlines()) == 1


def test_uvicorns_loggers_are_written_once_and_in_our_format(out: io.StringIO) -> None:
    noisy = logging.getLogger("uvicorn.access")
    noisy.addHandler(logging.StreamHandler(sys.stdout))
    noisy.propagate = False
    configure("json", "info", out)
    noisy.info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", "/livez", "1.1", 200)
    assert _line(out)["logger"] == "uvicorn.access"


def test_less_severe_lines_are_left_out(out: io.StringIO) -> None:
    configure("console", "warning", out)
    logging.getLogger("app.x").info("chatter")
    assert out.getvalue() == ""


def test_a_second_call_replaces_the_first(out: io.StringIO) -> None:
    first = io.StringIO()
    configure("console", "info", first)
    configure("console", "info", out)
    logging.getLogger("app.x").info("once")
    assert first.getvalue() == ""
    assert out.getvalue().count("once") == 1
