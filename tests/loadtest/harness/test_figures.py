"""Latencies as histograms: exact merging, three digits, clear refusals."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.figures import HIGHEST_US, STATISTICS, Latency

values_us = st.lists(st.integers(0, HIGHEST_US), max_size=40)


@given(st.lists(values_us, min_size=1, max_size=4))
def test_merged_histograms_equal_the_histogram_of_all_values(parts: list[list[int]]) -> None:
    whole = Latency.of(value / 1000 for part in parts for value in part)
    merged = Latency()
    for part in parts:
        merged.add(Latency.decode(Latency.of(value / 1000 for value in part).encode()))
    assert merged.counts().tolist() == whole.counts().tolist()
    assert merged.encode() == whole.encode()
    if whole.count:
        assert [merged.statistic_ms(name) for name in STATISTICS] == [
            whole.statistic_ms(name) for name in STATISTICS
        ]


@given(values_us.filter(bool))
def test_percentiles_are_exact_to_three_digits(values: list[int]) -> None:
    latency = Latency.of(value / 1000 for value in values)
    ordered = sorted(values)
    for percentile in (50, 95, 100):
        rank = max(1, int(percentile * len(values) / 100 + 0.5))
        true_ms = ordered[rank - 1] / 1000
        assert latency.percentile_ms(percentile) == pytest.approx(true_ms, rel=1e-3, abs=1e-3)


@given(values_us)
def test_many_values_at_once_are_the_same_as_one_by_one(values: list[int]) -> None:
    at_once = Latency()
    at_once.record_many_us(np.array(values, dtype=np.int64))
    one_by_one = Latency.of(value / 1000 for value in values)
    assert at_once.counts().tolist() == one_by_one.counts().tolist()
    assert at_once.encode() == one_by_one.encode()


def test_what_came_between_is_the_difference_of_two_counts() -> None:
    latency = Latency.of([1.0, 2.0])
    before = latency.counts()
    latency.record(5.0, times=2)
    between = Latency.from_counts(latency.counts() - before)
    assert (between.count, between.percentile_ms(50)) == (2, latency.max_ms)


def test_longer_than_ten_minutes_counts_as_ten_minutes() -> None:
    latency = Latency.of([1_000_000.0])
    assert latency.max_ms == pytest.approx(600_000, rel=1e-3)


def test_negative_latencies_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a latency is -1\.0 ms, expected 0 or more"):
        Latency().record(-1.0)


@pytest.mark.parametrize("encoded", ["", "AAAA", "no base64 at all!", "SElTVEZBQUFBQQ=="])
def test_what_is_no_histogram_is_refused(encoded: str) -> None:
    with pytest.raises(ValueError, match="not an HdrHistogram"):
        Latency.decode(encoded)


def test_nothing_recorded_has_no_percentiles() -> None:
    with pytest.raises(ValueError, match="nothing was recorded"):
        Latency().percentile_ms(50)


def test_a_histogram_goes_with_its_last_user_and_waits_for_no_collector() -> None:
    """A soak makes ten of them a second, and its collector seldom runs."""

    def alive() -> int:
        return sum(type(one) is HdrHistogram for one in gc.get_objects())

    gc.collect()
    before = alive()
    gc.disable()
    try:
        Latency.of([1.0, 2.0]).encode()
        assert alive() == before
    finally:
        gc.enable()
