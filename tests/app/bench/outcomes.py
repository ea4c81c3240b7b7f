"""Outcomes that were never measured, for what is made of them."""

from app.bench.load import Cell, Outcome


def outcome(images_per_s: float = 100.0, *, p99_ms: float = 5.0, connections: int = 1, errors: int = 0) -> Outcome:
    """What a cell with one image a request would have shown in one second."""
    good = int(images_per_s)
    statuses = {"200": good} | ({"503": errors} if errors else {})
    return Outcome(
        Cell(connections, 1), 1.0, images_per_s, images_per_s, p99_ms / 2, p99_ms, p99_ms, good, statuses, 0.1
    )
