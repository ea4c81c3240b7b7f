import pytest

from app.bench.http1 import Answer, ResponseParser

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\nRetry-After: 1\r\n\r\n3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n"
)


def _feed(parser: ResponseParser, data: bytes, step: int) -> list[Answer]:
    parts = [data[at : at + step] for at in range(0, len(data), step)]
    return [answer for part in parts if (answer := parser.feed(part)) is not None]


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
@pytest.mark.parametrize(("data", "status", "body"), [(PLAIN, 200, b"hello"), (CHUNKED, 503, b"abcde")])
def test_an_answer_is_whole_however_it_arrives(data: bytes, status: int, body: bytes, step: int) -> None:
    (answer,) = _feed(ResponseParser(), data, step)
    assert (answer.status, answer.body) == (status, body)


def test_a_connection_is_used_again_and_again() -> None:
    parser = ResponseParser()
    answers = [parser.feed(data) for data in (PLAIN, CHUNKED, PLAIN)]
    assert [answer.status for answer in answers if answer is not None] == [200, 503, 200]


def test_headers_are_found_in_any_case() -> None:
    answer = ResponseParser().feed(CHUNKED)
    assert answer is not None
    assert b"\r\nretry-after: 1" in answer.head


@pytest.mark.parametrize("data", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_what_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an HTTP/1 response|without a length"):
        ResponseParser().feed(data)
