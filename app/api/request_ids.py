"""What a request is called in logs, in its answer and in its images: the client's own id, or one of ours."""

import itertools
import re
import secrets
from collections.abc import Iterator, Mapping

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def given_id(headers: Mapping[bytes, bytes]) -> str | None:
    """The client's own id, if it is one that can go into logs and headers as it is."""
    given = headers.get(b"x-request-id")
    if given is None or not _REQUEST_ID.fullmatch(text := given.decode("latin-1")):
        return None
    return text


class RequestIds(Iterator[str]):
    """32 hexadecimal digits, sixteen of this process and a number: no two alike, and cheaper than a UUID each."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count(1)

    def __next__(self) -> str:
        return f"{self._process}{next(self._numbers):016x}"
