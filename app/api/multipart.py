"""Reading multipart/form-data (RFC 7578) that is already in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import InvalidRequest

_MALFORMED = "the body is not well-formed multipart/form-data"


@dataclass
class Part:
    """One part of a form: the field's name and its bytes."""

    name: str
    data: bytes


@dataclass
class _Reader:
    """Collects parts from the parser's callbacks."""

    max_parts: int
    parts: list[Part] = field(default_factory=list)
    complete: bool = False
    _data: bytearray = field(default_factory=bytearray)
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _disposition: bytes = b""

    def on_part_begin(self) -> None:
        if len(self.parts) >= self.max_parts:
            raise InvalidRequest(f"a form may have at most {self.max_parts} parts")
        self._data, self._disposition = bytearray(), b""

    def on_header_begin(self) -> None:
        self._header, self._value = bytearray(), bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def on_part_end(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise InvalidRequest(_MALFORMED)
        self.parts.append(Part(options[b"name"].decode("utf-8", "replace"), bytes(self._data)))

    def on_end(self) -> None:
        self.complete = True


def read_parts(body: bytes, content_type: str, *, max_parts: int) -> list[Part]:
    """The parts of a form, in order.

    Raises InvalidRequest for a missing boundary, a body that is cut short or malformed, too many parts.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise InvalidRequest("the Content-Type must name the form's boundary")
    reader = _Reader(max_parts)
    names = (
        "on_part_begin on_part_data on_part_end on_header_begin on_header_field on_header_value on_header_end on_end"
    )
    callbacks: Mapping[str, object] = {name: getattr(reader, name) for name in names.split()}
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]  # a TypedDict of optional callbacks
        parser.write(body)
        parser.finalize()
    except MultipartParseError:
        raise InvalidRequest(_MALFORMED) from None
    if not reader.complete:
        raise InvalidRequest(_MALFORMED)
    return reader.parts
