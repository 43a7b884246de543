"""Differences of percentiles: how often equals are called different, and what is caught."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.differences import (
    STATISTICS,
    Parted,
    Tally,
    difference,
    difference_by_parts,
    least_count,
    p_more,
)
from loadtest.harness.figures import Latency

ALPHA = 0.05
TRIALS = 200
MOST_ALARMS = 21
"""Of 200 with 5 % each, more than this come with less than 1 in 1,000 (binomial)."""


def waits(random: np.random.Generator, count: int, *, factor: float = 1.0) -> Latency:
    """Skewed as answers are: half within 900 ms."""
    latency = Latency()
    values_us = 900_000 * factor * random.lognormal(0, 0.25, count)
    latency.record_many_us(values_us.astype(np.int64))
    return latency


@pytest.mark.parametrize("statistic", ["p50", "p95", "mean"])
def test_equals_raise_no_more_false_alarms_than_stated(statistic: str) -> None:
    alarms = 0
    for trial in range(TRIALS):
        random = np.random.default_rng(trial)
        a, b = waits(random, 200), waits(random, 300)
        alarms += difference([a], [b], statistic, ALPHA, random).low_ms > 0
    assert alarms <= MOST_ALARMS


def test_runs_that_scatter_raise_no_more_false_alarms_than_stated() -> None:
    """Each run is faster or slower by 10 % as a whole, as on a shared machine."""
    alarms = {1: 0, 3: 0}
    for trial in range(TRIALS):
        random = np.random.default_rng(trial)
        for runs in alarms:
            a, b = (
                [waits(random, 120, factor=random.lognormal(0, 0.1)) for _ in range(runs)]
                for _ in "ab"
            )
            alarms[runs] += difference(a, b, "p50", ALPHA, random).low_ms > 0
    assert alarms[3] <= MOST_ALARMS
    # What one run a side cannot know, and why the comparison says so.
    assert alarms[1] > MOST_ALARMS


def frames(random: np.random.Generator, *, added_us: int = 0) -> Parted:
    """25 s of 60 frames in five parts: seconds are slow or fast as a whole, and so is the next."""
    level, parts = random.normal(), []
    for _ in range(5):
        part = Latency()
        for _ in range(5):
            level = 0.5 * level + math.sqrt(0.75) * random.normal()
            values_us = 500 * math.exp(0.3 * level) * random.lognormal(0, 0.3, 60) + added_us
            part.record_many_us(values_us.astype(np.int64))
        parts.append(part)
    whole = Latency()
    for part in parts:
        whole.add(part)
    return Parted(whole, parts)


@pytest.mark.parametrize("statistic", ["p50", "p95", "mean"])
def test_seconds_that_scatter_raise_no_more_false_alarms_than_stated(statistic: str) -> None:
    """One run a side. Frames taken for independent would cry wolf, which is why there are parts."""
    by_parts = by_frames = 0
    for trial in range(TRIALS):
        random = np.random.default_rng(trial)
        a, b = frames(random), frames(random)
        by_parts += difference_by_parts([a], [b], statistic, ALPHA, random).low_ms > 0
        by_frames += difference([a.whole], [b.whole], statistic, ALPHA, random).low_ms > 0
    assert by_parts <= MOST_ALARMS < by_frames


@pytest.mark.parametrize("statistic", ["p50", "p95", "mean"])
def test_frames_that_are_later_are_seen_in_one_run_a_side(statistic: str) -> None:
    seen = 0
    for trial in range(50):
        random = np.random.default_rng(trial)
        a, b = frames(random), frames(random, added_us=3000)
        found = difference_by_parts([a], [b], statistic, ALPHA / 10, random)
        seen += found.low_ms > 0
    assert seen >= 49


def test_bounds_by_parts_are_never_narrower_than_those_by_values() -> None:
    """All parts alike, so they scatter less than so few values let one say."""
    part = waits(np.random.default_rng(1), 40)
    whole = Latency()
    for _ in range(3):
        whole.add(part)
    run = Parted(whole, [part] * 3)
    found = difference_by_parts([run], [run], "mean", ALPHA, np.random.default_rng(1))
    assert found == difference([whole], [whole], "mean", ALPHA, np.random.default_rng(1))


@pytest.mark.parametrize("statistic", ["p50", "p95", "mean"])
@pytest.mark.parametrize("runs", [1, 3])
def test_a_slowdown_is_seen(statistic: str, runs: int) -> None:
    seen = 0
    for trial in range(50):
        random = np.random.default_rng(trial)
        a, b = ([waits(random, 1000, factor=factor) for _ in range(runs)] for factor in (1.0, 1.15))
        seen += difference(a, b, statistic, ALPHA, random).low_ms > 0
    assert seen >= 49


@given(
    values=st.lists(st.integers(1, 5_000_000), min_size=500, max_size=600),
    statistic=st.sampled_from(["p50", "p90", "p95", "p99", "mean"]),
    seed=st.integers(0, 2**32),
)
def test_a_run_beside_itself_never_differs(
    values: Sequence[int], statistic: str, seed: int
) -> None:
    latency = Latency()
    latency.record_many_us(np.array(values, dtype=np.int64))
    found = difference([latency], [latency], statistic, ALPHA, np.random.default_rng(seed))
    assert found.ms == 0
    assert found.low_ms <= 0 <= found.high_ms


@given(count=st.integers(100, 300), factor=st.floats(0.5, 2.0), seed=st.integers(0, 2**32))
def test_the_difference_the_other_way_round_is_the_same_with_its_sign_turned(
    count: int, factor: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    a, b = waits(random, count), waits(random, count, factor=factor)
    there = difference([a], [b], "p95", ALPHA, np.random.default_rng(1))
    back = difference([b], [a], "p95", ALPHA, np.random.default_rng(1))
    assert there.ms == -back.ms
    # The bounds are drawn: they agree up to what 10,000 draws leave open.
    spread = there.high_ms - there.low_ms
    assert there.low_ms == pytest.approx(-back.high_ms, abs=0.25 * spread)


def test_the_same_seed_gives_the_same_bounds() -> None:
    a, b = (waits(np.random.default_rng(n), 200) for n in (1, 2))
    once, again, other = (
        difference([a], [b], "p95", ALPHA, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert once == again
    assert once != other


def test_a_run_needs_five_values_beyond_the_percentile() -> None:
    needed = {statistic: least_count(statistic) for statistic in STATISTICS}
    assert needed == {
        "p50": 10,
        "p90": 50,
        "p95": 100,
        "p99": 500,
        "p999": 5000,
        "mean": 10,
    }


def test_more_failures_are_judged_by_the_binomial_distribution() -> None:
    assert p_more(Tally(0, 100), Tally(0, 100)) == 1.0
    assert p_more(Tally(0, 100), Tally(3, 100)) == pytest.approx(1 / 8)
    assert p_more(Tally(1, 300), Tally(1, 100)) == pytest.approx(1 - (3 / 4) ** 2)


@given(
    a=st.integers(0, 60), b=st.integers(0, 60), of_a=st.integers(1, 500), of_b=st.integers(1, 500)
)
def test_the_chance_of_more_agrees_with_the_sum_of_exact_fractions(
    a: int, b: int, of_a: int, of_b: int
) -> None:
    total, whole = a + b, of_a + of_b
    exact = sum(math.comb(total, k) * of_b**k * of_a ** (total - k) for k in range(b, total + 1))
    assert p_more(Tally(a, of_a), Tally(b, of_b)) == pytest.approx(
        exact / whole**total, rel=1e-9, abs=1e-300
    )
