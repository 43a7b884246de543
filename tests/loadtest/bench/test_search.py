from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.bench.search import Interpolated, Tried, calls_at, most_passed, next_level


def tried(calls: int, share: float, *, passed: bool = True) -> Tried:
    return Tried(calls, share, passed)


def rounded(found: Interpolated | None) -> Interpolated | None:
    return found and Interpolated(round(found.calls, 6), found.extrapolated)


def test_calls_are_read_off_between_two_levels() -> None:
    levels = [tried(100, 0.2), tried(400, 0.8), tried(500, 1.0, passed=False)]
    assert rounded(calls_at(0.5, levels)) == Interpolated(250, extrapolated=False)


def test_calls_beyond_the_last_level_are_extrapolated_and_say_so() -> None:
    two = [tried(100, 0.3), tried(200, 0.5)]
    assert rounded(calls_at(0.9, two)) == Interpolated(400, extrapolated=True)
    assert rounded(calls_at(0.9, two[:1])) == Interpolated(300, extrapolated=True)


def test_two_close_levels_do_not_bend_the_line_beyond_them() -> None:
    close = [tried(100, 0.2), tried(395, 0.79), tried(400, 0.8)]
    assert rounded(calls_at(0.9, close)) == Interpolated(450, extrapolated=True)
    found = calls_at(0.9, [tried(100, 0.2), tried(395, 0.8), tried(400, 0.799)])
    assert found is not None
    assert 440 < found.calls < 455


def test_a_saturated_level_says_nothing_about_calls() -> None:
    assert calls_at(0.9, [tried(500, 0.99, passed=False)]) is None


def test_the_most_calls_are_those_of_the_highest_level_that_passed() -> None:
    assert most_passed([tried(100, 0.2), tried(400, 0.8), tried(300, 0.9, passed=False)]) == 400
    assert most_passed([tried(100, 1.0, passed=False)]) == 0


def test_the_search_ends_at_the_limit() -> None:
    assert next_level([tried(100, 0.01)], limit=100) is None
    assert next_level([tried(100, 0.01)], limit=130) == 130


@given(capacity=st.integers(12, 1_800), cost=st.floats(0.3, 1.2), limit=st.integers(300, 2_000))
def test_any_search_closes_in_on_the_capacity(capacity: int, cost: float, limit: int) -> None:
    """A system that uses CPU in proportion and fails beyond its capacity, for whatever reason."""
    levels: list[Tried] = []
    calls: int | None = 10
    while calls is not None:
        assert calls not in [level.calls for level in levels]
        levels.append(tried(calls, min(1.0, cost * calls / capacity), passed=calls <= capacity))
        assert len(levels) < 60
        calls = next_level(levels, limit)
    reached = min(capacity, limit)
    assert reached * 0.95 - 5 <= most_passed(levels) <= reached
