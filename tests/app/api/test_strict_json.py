import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.strict_json import parse
from app.errors import InvalidJson, InvalidRequest

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(VALUES)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode("utf-8")) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"a":1,}',
        b"{'a':1}",
        b"nul",
        b"[1 2]",
        b'{"a":01}',
        b'"\x01"',
        b"]",
        b"[}",
        b'{"a":1}x',
        b"+1",
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        parse(body)


@pytest.mark.parametrize(
    "body", [b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', '{"a":1}'.encode("utf-16"), b"\xef\xbb\xbf{}"]
)
def test_what_is_not_plain_utf_8_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        parse(body)


@pytest.mark.parametrize("body", [b'{"a":1,"a":1}', b'[{"b":{"a":1,"\\u0061":2}}]'])
def test_a_duplicate_key_is_refused_at_any_depth(body: bytes) -> None:
    with pytest.raises(InvalidJson, match="twice"):
        parse(body)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_allowed_to_64_and_no_further(opening: bytes, closing: bytes) -> None:
    parse(opening * 64 + b"1" + closing * 64)
    with pytest.raises(InvalidJson):
        parse(opening * 65 + b"1" + closing * 65)


def test_nesting_of_lists_and_objects_in_turn_is_counted_in_full() -> None:
    parse(b'[{"a":' * 32 + b"1" + b"}]" * 32)
    with pytest.raises(InvalidJson):
        parse(b'[{"a":' * 32 + b"[]" + b"}]" * 32)


def test_brackets_inside_strings_are_no_nesting() -> None:
    text = '[{"' * 100 + '\\"[{'
    assert parse(json.dumps([text, "]}\\"]).encode()) == [text, "]}\\"]


@pytest.mark.parametrize("body", [b"[" * 10**6, b"[" * 10**6 + b"]" * 10**6, b'{"a":' * 10**6, b"[[]," * 10**6])
def test_a_megabyte_of_brackets_is_refused_quickly(body: bytes) -> None:
    began = time.perf_counter()
    with pytest.raises(InvalidJson):
        parse(body)
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("body", [b'"\\ud800"', b'{"\\udc00": 1}', b'["\\ud83d\\u0041"]'])
def test_a_lone_surrogate_is_json_but_no_request(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse(body)


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_numbers_out_of_range_are_left_to_the_fields() -> None:
    values = parse(b"[NaN, Infinity, -Infinity, 1e400]")
    assert isinstance(values, list)
    assert not any(math.isfinite(value) for value in values)


def test_a_whole_number_of_a_million_digits_costs_nothing() -> None:
    began = time.perf_counter()
    assert parse(b"9" * 10**6) == 10**40
    assert parse(b"-" + b"9" * 10**6) == -(10**40)
    assert time.perf_counter() - began < 1
