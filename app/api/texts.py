"""Form fields and query parameters, which are text -> the values that JSON would have carried."""

import re
from collections.abc import Iterable

from app.errors import FieldError, InvalidRequest

_WHOLE = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?(e-?[0-9]{1,3})?", re.IGNORECASE)


def form_values(fields: Iterable[tuple[str, bytes]]) -> dict[str, object]:
    """The fields of a form beside its files: `model`, the number `budget`, and `class_id` and `include`, which may come
    several times.

    Raises InvalidRequest for text that is not UTF-8 and for a field that comes twice; unknown names are kept for the
    schema to refuse.
    """
    values: dict[str, object] = {}
    class_ids: list[object] = []
    include: list[object] = []
    for name, data in fields:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise _refuse("body", "a field is not UTF-8") from None
        if name == "class_id":
            class_ids.append(int(text) if _WHOLE.fullmatch(text) else text)
        elif name == "include":
            include.append(text)
        elif name in values:
            raise _refuse("body", "a field comes twice")
        else:
            values[name] = int(text) if name == "budget" and _WHOLE.fullmatch(text) else text
    if class_ids:
        values["class_id"] = class_ids[0] if len(class_ids) == 1 else class_ids
    if include:
        values["include"] = include
    return values


def query_values(parameters: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Query parameters with their numbers read. Raises InvalidRequest for a name that comes twice."""
    values: dict[str, object] = {}
    for name, text in parameters:
        if name in values:
            raise _refuse("query", "a parameter comes twice")
        if _WHOLE.fullmatch(text):
            values[name] = int(text)
        else:
            values[name] = float(text) if _NUMBER.fullmatch(text) else text
    return values


def _refuse(location: str, message: str) -> InvalidRequest:
    return InvalidRequest("the request is not valid", [FieldError(location, message)])
