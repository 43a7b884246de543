"""Unknown messages are counted and named once, whatever a peer invents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.protocol.unhandled import UnhandledCounter


def test_a_kind_is_news_once() -> None:
    counter = UnhandledCounter()
    assert [counter.note(kind) for kind in ("a", "b", "a", "a")] == [True, True, False, False]
    assert counter.counts == {"a": 3, "b": 1}


def test_an_expected_kind_is_counted_but_no_news() -> None:
    counter = UnhandledCounter(expected=frozenset({"a"}))
    assert [counter.note(kind) for kind in ("a", "b", "a")] == [False, True, False]
    assert counter.counts == {"a": 2, "b": 1}


def test_beyond_the_limit_kinds_are_counted_together() -> None:
    counter = UnhandledCounter(limit=2)
    assert [counter.note(kind) for kind in ("a", "b", "c", "d", "a")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert (counter.counts, counter.overflow) == ({"a": 2, "b": 1}, 2)


@given(st.lists(st.text(max_size=2)), st.integers(min_value=1, max_value=5))
def test_nothing_is_lost_and_nothing_grows(kinds: list[str], limit: int) -> None:
    counter = UnhandledCounter(limit=limit)
    news = sum(counter.note(kind) for kind in kinds)
    assert counter.total == len(kinds)
    assert news == len(counter.counts) == min(limit, len(set(kinds)))


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^limit is 0, expected at least 1$"):
        UnhandledCounter(limit=0)
