"""JSON Schema as the standard has it, where the framework writes constraints in words of its own."""

from typing import Any

# A constraint on what stands behind a validator of ours keeps the name that Python gives it.
_KEYWORDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def in_standard_words(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema, and those within it, with every bound under the name that other programs know."""
    return {
        _KEYWORDS.get(key, key) if isinstance(value, int | float) else key: _inside(value)
        for key, value in schema.items()
    }


def _inside(value: object) -> object:
    if isinstance(value, dict):
        return in_standard_words(value)
    return [_inside(item) for item in value] if isinstance(value, list) else value
