"""The order of a test session."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, so that a mistake shows before the slow ones have been waited for."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
