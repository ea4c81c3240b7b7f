"""Strict JSON reading: bytes -> values, with nothing that two readers could take differently."""

import json
import re
from typing import NoReturn

from app.errors import InvalidJson, InvalidRequest

MAX_DEPTH = 64
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
# Longer whole numbers are out of every field's range; int() on them is quadratic, and then an error.
_MAX_DIGITS = 40
_HUGE: int = 10**_MAX_DIGITS


def parse(body: bytes) -> object:
    """The JSON value of a UTF-8 body.

    Raises InvalidJson for bad UTF-8, bad syntax, a duplicate key or nesting deeper than 64; InvalidRequest
    for a lone surrogate, which is JSON but no text. NaN, Infinity and 1e400 come out as floats that are
    not finite, and a whole number of more than 40 digits as one of 41, for the fields to refuse.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidJson("the body is not UTF-8") from None
    if _too_deep(body):
        raise InvalidJson(f"the body is not JSON, or is nested deeper than {MAX_DEPTH}")
    try:
        value: object = _DECODER.decode(text)
    except (ValueError, RecursionError):
        # ValueError is JSONDecodeError and every other way in which json refuses a number.
        raise InvalidJson("the body is not JSON") from None
    if _SURROGATE_ESCAPE.search(body):
        _require_text(value)
    return value


def _too_deep(body: bytes) -> bool:
    """Whether brackets nest deeper than MAX_DEPTH, or, among so many, do not pair; all of it in linear C passes.

    What is left of the body without its strings is brackets alone, all written square; each round takes
    the innermost pairs away, so a well-formed body of depth d is empty after d rounds.
    """
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return False
    if b"\\" in body:
        body = _ESCAPE.sub(b"", body)
    structure = _STRING.sub(b"", body.translate(_SQUARE, _NOT_STRUCTURE))
    for left in range(MAX_DEPTH, 0, -1):
        if not structure:
            return False
        inner = structure.replace(b"[]", b"")
        if len(inner) == len(structure) or b"[" * (left + 1) in structure:
            return True
        structure = inner
    return bool(structure)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse_duplicates()
    return found


def _refuse_duplicates() -> NoReturn:
    raise InvalidJson("an object names the same key twice")


def _whole(digits: str) -> int:
    if len(digits) <= _MAX_DIGITS:
        return int(digits)
    return -_HUGE if digits.startswith("-") else _HUGE


# One for all: making a decoder takes longer than reading a small body with it.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_whole)


def _require_text(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest("a string holds half of a surrogate pair") from None
