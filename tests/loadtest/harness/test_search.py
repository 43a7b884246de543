"""The search finds the edge within its bounds, and says how sure it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.search import (
    FINE_SHARE,
    Confidence,
    Search,
    SearchPlan,
    Trial,
    confidence,
    next_calls,
    search,
)


def carries(most: int, tried: list[int] | None = None) -> Callable[[int], Awaitable[Trial]]:
    async def attempt(calls: int) -> Trial:
        if tried is not None:
            tried.append(calls)
        return Trial(calls, () if calls <= most else ("p99 too late",))

    return attempt


@given(st.integers(1, 5000), st.integers(1, 100))
async def test_the_edge_is_found_to_five_per_cent(most: int, start: int) -> None:
    found = await search(SearchPlan(start, limit=5000, trials=60), carries(most))
    if start > most:
        assert found.carried <= most
    assert found.carried <= most
    assert most - found.carried <= max(1, most * FINE_SHARE)
    assert found.is_floor == (most >= 5000)


async def test_numbers_double_until_one_fails_and_are_halved_after_it() -> None:
    tried: list[int] = []
    found = await search(SearchPlan(start=10, limit=1000, trials=20), carries(90, tried))
    assert tried == [10, 20, 40, 80, 160, 160, 120, 120, 100, 100, 90, 95, 95, 92, 92]
    assert found.carried == 90


async def test_a_failure_that_does_not_come_again_is_forgiven() -> None:
    hiccups = iter([("one bad second",)])

    async def attempt(calls: int) -> Trial:
        return Trial(calls, next(hiccups, ()))

    found = await search(SearchPlan(start=40, limit=40, trials=5), attempt)
    assert (found.carried, found.is_floor) == (40, True)


async def test_a_late_generator_is_given_two_more_chances_and_then_ends_the_search_as_a_floor() -> (
    None
):
    tried: list[int] = []

    async def attempt(calls: int) -> Trial:
        tried.append(calls)
        late = calls > 20 or len(tried) < 3
        return Trial(calls, generator_late=late)

    found = await search(SearchPlan(start=20, limit=40, trials=6), attempt)
    assert tried == [20, 20, 20, 40, 40, 40]
    assert (found.carried, found.is_floor) == (20, True)


async def test_trials_are_bounded() -> None:
    tried: list[int] = []
    await search(SearchPlan(start=1, limit=10**6, trials=7), carries(10**5, tried))
    assert len(tried) == 7


async def test_nothing_carried_is_nought() -> None:
    found = await search(SearchPlan(start=10, limit=100, trials=30), carries(0))
    assert (found.carried, found.is_floor) == (0, False)


def test_a_search_that_ended_where_the_generator_was_late_is_a_floor() -> None:
    trials = (Trial(100), Trial(200, ("p99 too late",), generator_late=True))
    assert Search(trials, 1000).is_floor
    assert not Search((*trials, Trial(150, ("lost frames",))), 1000).is_floor


def test_a_pass_above_a_failure_does_not_count() -> None:
    trials = (Trial(100), Trial(120, ("lost",)), Trial(140))
    assert Search(trials, 1000).carried == 100
    assert next_calls(trials, SearchPlan()) == 110


@pytest.mark.parametrize(
    ("runs", "interval"),
    [
        ((610,), (610, 610, 0.0)),
        ((600, 620, 640), (600, 640, 0.75)),
        ((600, 610, 620, 630, 640), (600, 640, 0.9375)),
        ((1, 2, 3, 4, 5, 6, 7, 8, 9, 10), (2, 9, 0.978515625)),
    ],
)
def test_the_confidence_comes_from_order_alone(
    runs: tuple[int, ...], interval: tuple[int, int, float]
) -> None:
    assert Confidence(runs).interval == interval


def test_the_sentence_says_what_is_known_and_what_is_not() -> None:
    assert Confidence((600, 620, 640)).sentence() == (
        "620 calls: median of 3 runs (600, 620, 640). With 75% confidence such runs have their "
        "median between 600 and 640; every run carried 600"
    )
    assert Confidence((50,)).sentence(floor=True) == (
        "50 calls or more (the searches ended at their own limit, not the bridge's) in a single "
        "run: no statement about the next one"
    )
    assert Confidence((0, 0)).sentence(floor=True) == "not one of the numbers tried was carried"


def test_runs_are_put_together_in_order() -> None:
    searches = [Search((Trial(calls),), 1000) for calls in (30, 10, 20)]
    assert confidence(searches) == Confidence((10, 20, 30))
    with pytest.raises(ValueError, match="no search says anything"):
        confidence([])


def test_a_run_whose_load_was_always_late_says_nothing_about_the_bridge() -> None:
    late = Search((Trial(40, generator_late=True), Trial(20, generator_late=True)), 1000)
    assert not late.says_something
    failed_above = Search((Trial(40, ("lost frames",)), Trial(20, generator_late=True)), 1000)
    assert not failed_above.says_something
    assert Search((Trial(40, ("lost frames",)),), 1000).says_something
    assert confidence([late, Search((Trial(30),), 1000)]) == Confidence((30,))
    with pytest.raises(ValueError, match="no search says anything"):
        confidence([late])
