import pytest

from app.bench.verdict import Comparison, fault, score
from tests.app.bench.outcomes import outcome


def _compare(mine: list[float], other: list[float]) -> Comparison:
    return Comparison.of([[outcome(rate)] for rate in mine], [[outcome(rate)] for rate in other])


def test_the_score_weighs_every_cell_alike() -> None:
    assert score([outcome(10), outcome(1000)]) == pytest.approx(100)


def test_an_advantage_beyond_the_spread_wins() -> None:
    found = _compare([120, 118, 122], [100, 100, 100])
    assert found.advantage == pytest.approx(0.20)
    assert found.spread == pytest.approx(0.04)
    assert found.wins


def test_an_advantage_within_the_spread_does_not() -> None:
    assert not _compare([120, 95, 140], [100, 100, 100]).wins


def test_a_slow_round_that_slows_both_decides_nothing() -> None:
    assert _compare([120, 60, 120], [100, 50, 100]).wins


def test_what_is_equal_or_slower_never_wins() -> None:
    assert not _compare([100, 100, 100], [100, 100, 100]).wins
    assert not _compare([80, 80, 80], [100, 100, 100]).wins


def test_one_round_shows_no_spread_so_nobody_wins() -> None:
    found = _compare([500], [100])
    assert found.spread is None
    assert not found.wins


def test_a_score_of_zero_is_beaten_by_anything() -> None:
    assert _compare([1, 1], [0, 0]).wins
    assert not _compare([0, 0], [0, 0]).wins


def test_rounds_that_are_missing_are_not_made_up() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        _compare([1, 2], [1])


def test_errors_disqualify() -> None:
    assert fault([[outcome()], [outcome(errors=3)]], p99_limit_ms=None) == "3 errors"
    assert fault([[outcome()]], p99_limit_ms=None) is None


def test_a_cell_beyond_the_p99_limit_disqualifies_but_one_bad_round_does_not() -> None:
    slow = [[outcome(), outcome(p99_ms=30, connections=64)]] * 3
    assert fault(slow, p99_limit_ms=20) == "p99 30.0 ms at 64 connections"
    assert fault(slow, p99_limit_ms=40) is None
    assert fault([[outcome(p99_ms=30)], [outcome()], [outcome()]], p99_limit_ms=20) is None
