import pytest

from app.bench.statistics import geometric_mean, median, percentile


def test_a_percentile_is_the_smallest_value_that_covers_its_share() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.9, 0.99, 1.0)] == [50, 90, 99, 100]
    assert percentile([7.0], 0.01) == 7


def test_the_median_of_an_even_number_is_between_the_two_in_the_middle() -> None:
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5


def test_in_a_geometric_mean_doubling_one_makes_up_for_halving_another() -> None:
    assert geometric_mean([10.0, 1000.0]) == pytest.approx(geometric_mean([20.0, 500.0]))
    assert geometric_mean([4.0, 9.0]) == pytest.approx(6.0)


def test_a_geometric_mean_with_a_zero_is_zero() -> None:
    assert geometric_mean([0.0, 100.0]) == 0


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="at least one"):
        geometric_mean([])
