"""Named deadlines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.call.timers import TimerName, Timers

NAMES: tuple[TimerName, ...] = ("answer", "call", "closing", "decision", "digits", "media")


def test_the_next_deadline_is_the_earliest() -> None:
    timers = Timers()
    assert timers.next_deadline is None
    timers.set("call", 9.0)
    timers.set("answer", 3.0)
    assert timers.next_deadline == 3.0


def test_setting_a_name_again_moves_its_deadline() -> None:
    timers = Timers()
    timers.set("answer", 3.0)
    timers.set("answer", 8.0)
    assert list(timers.take_due(5.0)) == []
    assert timers.at("answer") == 8.0


def test_what_is_due_is_given_once_earliest_first() -> None:
    timers = Timers()
    timers.set("call", 2.0)
    timers.set("answer", 1.0)
    timers.set("media", 3.0)
    assert list(timers.take_due(2.0)) == ["answer", "call"]
    assert list(timers.take_due(2.0)) == []
    assert timers.next_deadline == 3.0


def test_a_cancelled_deadline_never_comes() -> None:
    timers = Timers()
    timers.set("answer", 1.0)
    timers.cancel("answer", "call")
    assert "answer" not in timers
    assert list(timers.take_due(9.0)) == []
    with pytest.raises(KeyError):
        timers.at("answer")


def test_clear_cancels_everything() -> None:
    timers = Timers()
    timers.set("answer", 1.0)
    timers.set("call", 2.0)
    timers.clear()
    assert timers.next_deadline is None


@given(st.dictionaries(st.sampled_from(NAMES), st.floats(0, 100)), st.floats(0, 100))
def test_due_are_exactly_those_whose_time_has_come(
    deadlines: dict[TimerName, float], now: float
) -> None:
    timers = Timers()
    for name, at in deadlines.items():
        timers.set(name, at)
    due = list(timers.take_due(now))
    assert sorted(due) == sorted(name for name, at in deadlines.items() if at <= now)
    assert [deadlines[name] for name in due] == sorted(deadlines[name] for name in due)
    assert all(name in timers for name in deadlines if name not in due)


def test_what_is_cancelled_or_moved_while_others_are_handled_is_not_given() -> None:
    timers = Timers()
    for name in ("answer", "call", "media", "digits"):
        timers.set(name, 1.0)
    given_out = []
    for name in timers.take_due(2.0):
        given_out.append(name)
        timers.cancel("call")
        timers.set("digits", 3.0)
        timers.set("answer", 2.0)
    assert given_out == ["answer", "media"]
    assert list(timers.take_due(3.0)) == ["answer", "digits"]
