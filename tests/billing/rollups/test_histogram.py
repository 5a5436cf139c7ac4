"""Histograms: exact where numbers are small, close where they are large, and they can be added."""

import random
from collections import Counter

import pytest

from billing.rollups import histogram


def percentile_cont(numbers, share):
    """As SQL defines it."""
    ordered = sorted(numbers)
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


def histogram_of(numbers):
    return Counter(map(histogram.bin_of, numbers))


def test_every_number_is_inside_of_its_bin_and_bins_follow_each_other():
    numbers = [*range(5000), *(2**power + offset for power in range(13, 31) for offset in (-1, 0, 1, 12345))]
    for number in numbers:
        first, width = histogram.bounds(histogram.bin_of(number))
        assert first <= number < first + width
        assert width <= max(1, number / 32)
    for index in range(800):
        first, width = histogram.bounds(index)
        assert histogram.bounds(index + 1)[0] == first + width


def test_percentiles_of_small_numbers_are_those_of_sql():
    chance = random.Random(3)
    for size in (1, 2, 3, 10, 101):
        numbers = [chance.randrange(64) for _ in range(size)]
        shares = [0, 0.5, 0.9, 0.95, 0.99, 1]
        expected = [percentile_cont(numbers, share) for share in shares]
        assert histogram.percentiles(histogram_of(numbers), shares) == pytest.approx(expected)


def test_percentiles_of_large_numbers_are_off_by_less_than_two_percent():
    chance = random.Random(5)
    numbers = [int(chance.lognormvariate(7, 1.2)) for _ in range(20_000)]
    for share in (0.5, 0.95, 0.99):
        (computed,) = histogram.percentiles(histogram_of(numbers), [share])
        assert computed == pytest.approx(percentile_cont(numbers, share), rel=0.02)


def test_histograms_as_text_can_be_added():
    first, second = histogram_of([1, 1, 900]), histogram_of([1, 5000])
    assert histogram.encode(first) == "[1,2,184,1]"
    assert histogram.merge([histogram.encode(first), histogram.encode(second)]) == first + second


def test_no_numbers_have_percentiles_of_zero():
    assert histogram.percentiles(Counter({3: 0}), [0.5, 0.99]) == [0.0, 0.0]
    assert histogram.encode(Counter({3: 0})) == "[]"
