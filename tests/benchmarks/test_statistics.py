import pytest

from benchmarks.statistics import Spread, median, paired_ratios, percentile


def test_a_percentile_is_the_smallest_value_that_covers_its_share() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 0.50) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1.0) == 100
    assert percentile([7.0], 0.01) == 7


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        percentile([], 0.5)


def test_the_median_of_an_even_number_is_between_the_two_in_the_middle() -> None:
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5
    assert median([9.0, 1.0, 5.0]) == 5


def test_a_spread_keeps_the_extremes() -> None:
    assert Spread.of([2.0, 1.0, 4.0]) == Spread(median=2.0, least=1.0, most=4.0, count=3)


def test_ratios_are_paired_and_a_zero_says_nothing() -> None:
    assert paired_ratios([10.0, 6.0, 5.0], [5.0, 0.0, 10.0]) == [2.0, 0.5]


def test_ratios_of_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        paired_ratios([1.0], [1.0, 2.0])
