"""When calls begin: bounded, in order, at the rate that was asked for."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.arrivals import ARRIVALS, Arrival, begins, keeps_places


@given(
    st.sampled_from(ARRIVALS),
    st.integers(1, 200),
    st.floats(0.1, 100),
    st.floats(0.5, 60),
    st.integers(0, 5),
)
def test_calls_begin_in_order_and_within_the_run(
    arrival: Arrival, calls: int, rate_per_s: float, for_s: float, seed: int
) -> None:
    moments = list(begins(arrival, calls, rate_per_s, for_s, random.Random(seed)))
    assert moments == sorted(moments)
    assert all(0 <= moment < for_s for moment in moments)
    if keeps_places(arrival):
        assert len(moments) <= calls


def test_a_ramp_fills_every_place_at_its_rate() -> None:
    assert list(begins("ramp", 4, 2.0, 60, random.Random(1))) == [0.0, 0.5, 1.0, 1.5]


def test_a_spike_begins_at_once() -> None:
    assert list(begins("spike", 3, 2.0, 60, random.Random(1))) == [0.0, 0.0, 0.0]


def test_steady_calls_keep_coming_evenly() -> None:
    assert list(begins("steady", 1, 2.0, 2, random.Random(1))) == [0.0, 0.5, 1.0, 1.5]


def test_poisson_calls_come_at_the_mean_rate_with_its_spread() -> None:
    moments = list(begins("poisson", 1, 10.0, 1000, random.Random(3)))
    gaps = [b - a for a, b in itertools.pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.1, rel=0.05)
    assert spread == pytest.approx(mean, rel=0.05)


def test_the_same_seed_gives_the_same_arrivals() -> None:
    one, two = (list(begins("poisson", 1, 5.0, 20, random.Random(9))) for _ in range(2))
    assert one == two


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rate_per_s is 0\.0"):
        list(begins("ramp", 1, 0.0, 1, random.Random(1)))
