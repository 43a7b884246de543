from __future__ import annotations

import random
import statistics

import pytest

from loadtest.realtime import PROFILES, Spread, profile


def test_draws_have_the_stated_median_and_tail() -> None:
    spread = Spread(median_ms=670, p95_ms=1100)
    rng = random.Random(1)
    draws = sorted(spread.draw_ms(rng) for _ in range(20_000))
    assert statistics.median(draws) == pytest.approx(670, rel=0.02)
    assert draws[int(len(draws) * 0.95)] == pytest.approx(1100, rel=0.03)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_stays_within_its_limits_and_repeats_by_seed(name: str) -> None:
    latency = profile(name)
    for spread in (latency.created, latency.first_delta, latency.transcription):
        draws = [spread.draw_ms(random.Random(seed)) for seed in range(500)]
        assert all(spread.least_ms <= draw <= spread.most_ms for draw in draws)
        assert draws == [spread.draw_ms(random.Random(seed)) for seed in range(500)]


def test_instant_is_without_delay() -> None:
    assert profile("instant").first_delta.draw_ms(random.Random(0)) == 0


def test_profiles_are_ordered_by_their_first_delta() -> None:
    medians = [profile(name).first_delta.median_ms for name in PROFILES]
    assert list(PROFILES) == ["instant", "fast", "typical", "slow", "busy"]
    assert medians == sorted(medians)


def test_an_unknown_profile_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'quick'; there are: instant, fast, typical, slow, busy"):
        profile("quick")


def test_a_spread_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="median_ms is 100 and p95_ms is 50"):
        Spread(median_ms=100, p95_ms=50)
