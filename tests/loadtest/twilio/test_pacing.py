"""The wheel's order and bookkeeping; how late it is depends on the machine and is not tested."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.twilio.pacing import ROUND_S, PacingWheel


class Counter:
    """Ticks until ``wanted``; raises at ``breaks_at``."""

    def __init__(self, wanted: int, breaks_at: int | None = None) -> None:
        self.wanted = wanted
        self.breaks_at = breaks_at
        self.dues: list[float] = []
        self.error: Exception | None = None
        self.done = asyncio.Event()

    def tick(self, due: float) -> None:
        self.dues.append(due)
        if len(self.dues) == self.breaks_at:
            self.done.set()
            raise RuntimeError("broken")
        if len(self.dues) == self.wanted:
            self.done.set()

    def failed(self, error: Exception) -> None:
        self.error = error


async def test_deadlines_are_exactly_one_round_apart_whatever_the_delay() -> None:
    wheel, counter = PacingWheel(), Counter(25)
    wheel.add(counter)
    await asyncio.wait_for(counter.done.wait(), 10)
    wheel.remove(counter)
    steps = {round(b - a, 9) for a, b in itertools.pairwise(counter.dues)}
    assert steps == {ROUND_S}
    assert wheel.lateness().frames == len(counter.dues)


async def test_what_was_missed_is_caught_up() -> None:
    wheel, counter = PacingWheel(), Counter(10)
    wheel.add(counter)

    time.sleep(0.1)  # noqa: ASYNC251 - the loop itself is blocked: five rounds pass
    await asyncio.wait_for(counter.done.wait(), 10)
    wheel.remove(counter)
    steps = {round(b - a, 9) for a, b in itertools.pairwise(counter.dues)}
    assert steps == {ROUND_S}
    lateness = wheel.lateness()
    assert lateness.late_frames > 0
    assert lateness.max_ms >= 20


async def test_a_broken_ticker_is_dropped_and_told_and_the_others_go_on() -> None:
    wheel, broken, sound = PacingWheel(), Counter(5, breaks_at=2), Counter(10)
    wheel.add(broken)
    wheel.add(sound)
    await asyncio.wait_for(sound.done.wait(), 10)
    assert len(broken.dues) == 2
    assert repr(broken.error) == "RuntimeError('broken')"
    assert len(wheel) == 1
    wheel.remove(sound)


async def test_an_empty_wheel_has_no_timer_and_starts_again() -> None:
    wheel, first, second = PacingWheel(), Counter(2), Counter(2)
    wheel.add(first)
    await asyncio.wait_for(first.done.wait(), 10)
    wheel.remove(first)
    wheel.remove(first)
    ticks = len(first.dues)
    assert len(wheel) == 0
    wheel.add(second)
    await asyncio.wait_for(second.done.wait(), 10)
    wheel.remove(second)
    assert len(first.dues) == ticks
    assert second.dues[0] > first.dues[-1]


@settings(max_examples=10, deadline=None)
@given(gaps_ms=st.lists(st.integers(0, 15), min_size=1, max_size=12))
async def test_tickers_added_at_any_time_all_get_every_round(gaps_ms: list[int]) -> None:
    wheel = PacingWheel()
    counters = []
    for gap_ms in gaps_ms:
        await asyncio.sleep(gap_ms / 1000)
        counters.append(Counter(4))
        wheel.add(counters[-1])
    for counter in counters:
        await asyncio.wait_for(counter.done.wait(), 10)
        wheel.remove(counter)
        steps = {round(b - a, 9) for a, b in itertools.pairwise(counter.dues)}
        assert steps == {ROUND_S}
    assert len(wheel) == 0


async def test_tickers_that_come_at_a_steady_rate_are_spread_over_the_round() -> None:
    """Every 20 ms, so that the slot of the moment would be the same for all of them."""
    wheel, counters = PacingWheel(), []
    for _ in range(12):
        counters.append(Counter(3))
        wheel.add(counters[-1])
        await asyncio.sleep(ROUND_S)
    for counter in counters:
        await asyncio.wait_for(counter.done.wait(), 10)
        wheel.remove(counter)
    phases = {round(counter.dues[0] / ROUND_S % 1, 3) for counter in counters}
    assert len(phases) == len(counters)


def test_a_wheel_without_frames_is_not_late() -> None:
    assert PacingWheel().lateness().late_share == pytest.approx(0.0)


async def test_a_wheel_more_than_a_second_behind_leaves_rounds_out_and_says_so() -> None:
    wheel, counter = PacingWheel(), Counter(10)
    wheel.add(counter)
    time.sleep(1.1)  # noqa: ASYNC251 - the loop itself is blocked
    await asyncio.wait_for(counter.done.wait(), 10)
    wheel.remove(counter)
    lateness = wheel.lateness()
    assert lateness.skipped_frames >= 50
    steps = {round((b - a) / ROUND_S, 6) for a, b in itertools.pairwise(counter.dues)}
    assert all(step == int(step) for step in steps)


async def test_a_wheel_that_cannot_keep_up_lets_the_loop_do_other_things() -> None:
    class Slow(Counter):
        def tick(self, due: float) -> None:
            super().tick(due)
            time.sleep(0.03)

    wheel, slow = PacingWheel(), Slow(1000)
    wheel.add(slow)
    for _ in range(5):
        await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.sleep(0.001), 5)
    wheel.remove(slow)
    assert len(slow.dues) < 100
