"""Growth that is there is found; spikes, steps and noise are not growth."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.trend import LEAST_POINTS, MOST_POINTS, TooShortError, trend

SECONDS = range(120)
values_of = st.lists(
    st.integers(0, 10_000).map(float), min_size=LEAST_POINTS, max_size=3 * LEAST_POINTS
)


def noise(seed: int, spread: float = 5.0) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(0, spread) for _ in SECONDS]


def test_a_straight_line_has_its_slope_per_hour_and_no_doubt() -> None:
    found = trend(list(SECONDS), [100 + 2 * second for second in SECONDS])
    assert (found.slope, found.low, found.high) == pytest.approx((7200, 7200, 7200))
    assert found.p_growing < 1e-6
    assert found.grows_beyond(7000)
    assert not found.grows_beyond(7300)
    assert (found.first, found.last) == (129, 309)


def test_what_stays_the_same_does_not_grow() -> None:
    found = trend(list(SECONDS), [7.0] * len(SECONDS))
    assert (found.slope, found.low, found.high, found.p_growing) == (0, 0, 0, 1)
    assert not found.grows_beyond(0)


@pytest.mark.parametrize("seed", range(20))
def test_growth_under_noise_is_found_and_noise_alone_is_not(seed: int) -> None:
    rough = noise(seed)
    assert not trend(list(SECONDS), rough).grows_beyond(500)
    growing = [value + second for second, value in zip(SECONDS, rough, strict=True)]
    assert trend(list(SECONDS), growing).grows_beyond(3000)


def test_one_step_of_an_allocator_is_no_growth() -> None:
    stepped = [50_000.0 + 4096 * (second > 60) for second in SECONDS]
    assert not trend(list(SECONDS), stepped).grows_beyond(0)


def test_spikes_do_not_carry_the_slope_away() -> None:
    spiky = [100.0 + (100_000 if second % 10 == 9 else 0) for second in SECONDS]
    found = trend(list(SECONDS), spiky)
    assert found.slope == 0
    assert not found.grows_beyond(0)


def test_a_fall_is_no_growth() -> None:
    found = trend(list(SECONDS), [1000.0 - second for second in SECONDS])
    assert found.slope == pytest.approx(-3600)
    assert found.p_growing > 0.999


def test_a_long_series_is_judged_by_its_medians() -> None:
    long = range(20 * MOST_POINTS)
    found = trend(list(long), [3.0 * second for second in long])
    assert found.points == len(long)
    assert found.slope == pytest.approx(3 * 3600)


def test_too_few_readings_are_no_judgement() -> None:
    with pytest.raises(TooShortError, match="9 readings, expected at least 10"):
        trend(list(range(9)), [1.0] * 9)
    with pytest.raises(TooShortError, match="all readings are of the same moment"):
        trend([5.0] * 20, [1.0] * 20)


@given(values_of)
def test_the_slope_lies_in_its_interval_and_turns_round_with_the_values(
    values: list[float],
) -> None:
    times = [float(n) for n in range(len(values))]
    found, turned = trend(times, values), trend(times, [-value for value in values])
    assert found.low <= found.slope <= found.high
    assert turned.slope == pytest.approx(-found.slope)


@given(values_of, st.integers(1, 1000))
def test_a_steeper_line_underneath_makes_everything_steeper(values: list[float], by: int) -> None:
    times = [float(n) for n in range(len(values))]
    plain = trend(times, values)
    tilted = trend(times, [value + by * at for at, value in zip(times, values, strict=True)])
    assert tilted.slope == pytest.approx(plain.slope + by * 3600)
    assert tilted.p_growing <= plain.p_growing + 1e-9 or plain.p_growing < 1e-6
