import inspect
import re

import pytest

from app import errors
from app.errors import ServeError

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, ServeError)]


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn: dict[str, str | None] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"([│├└─ ]*)([A-Z]\w+)(?: |$)", line):
            depth, name = len(found[1]) // 4, found[2]
            if depth or name == "ServeError":
                drawn[name], above[depth] = above.get(depth - 1), name
    assert drawn == {cls.__name__: None if cls is ServeError else cls.__bases__[0].__name__ for cls in CLASSES}


@pytest.mark.parametrize("kind", [cls for cls in CLASSES if issubclass(cls, errors.CapacityError)])
def test_lack_of_capacity_says_when_to_come_back(kind: type[errors.CapacityError]) -> None:
    assert kind("full").retry_after_s == 1.0
    assert kind("full", retry_after_s=7.5).retry_after_s == 7.5


def test_a_rate_limit_says_when_to_come_back() -> None:
    assert errors.RateLimited("slow down", retry_after_s=3).retry_after_s == 3


def test_field_errors_are_kept_as_they_were_given() -> None:
    wrong = [errors.FieldError("seed", "must be a whole number")]
    assert errors.InvalidRequest("no", wrong).errors == tuple(wrong)
    assert errors.InvalidRequest("no").errors == ()
