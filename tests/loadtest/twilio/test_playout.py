"""The playout clock, with time moved by hand."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from loadtest.twilio.playout import Playout, Queued

AUDIO = b"\x10" * 1000  # 125 ms, which a float holds exactly


def runs(playout: Playout) -> list[tuple[float, int]]:
    return [(run.start, len(run.ulaw)) for run in playout.runs]


def test_audio_plays_from_when_it_came_or_behind_what_is_queued() -> None:
    playout = Playout()
    assert playout.media(AUDIO, 1.0) == Queued(1.0, gap_s=float("inf"))
    assert playout.media(AUDIO, 1.0625) == Queued(1.125, gap_s=0.0)
    assert playout.buffered_ms(1.0625) == 187.5
    assert playout.media(AUDIO, 1.5) == Queued(1.5, gap_s=0.25)
    assert runs(playout) == [(1.0, 2000), (1.5, 1000)]


def test_a_mark_is_reached_when_the_audio_before_it_was_played() -> None:
    playout = Playout()
    playout.media(AUDIO, 0.0)
    playout.mark("end", 0.0)
    assert playout.reached(0.124) == []
    assert playout.next_mark_at == 0.125
    assert playout.reached(0.125) == ["end"]
    assert playout.next_mark_at is None


def test_a_mark_with_nothing_queued_is_reached_at_once() -> None:
    playout = Playout()
    playout.mark("now", 5.0)
    assert playout.reached(5.0) == ["now"]


def test_clear_stops_the_audio_and_returns_every_pending_mark() -> None:
    playout = Playout()
    playout.media(AUDIO, 0.0)
    playout.mark("first", 0.0)
    playout.media(AUDIO, 0.0)
    playout.mark("second", 0.0)
    assert playout.reached(0.125) == ["first"]
    assert playout.clear(0.1875) == ["second"]
    assert runs(playout) == [(0.0, 1500)]
    assert playout.buffered_ms(0.1875) == 0
    assert playout.media(AUDIO, 0.1875) == Queued(0.1875, gap_s=float("inf"))
    assert runs(playout) == [(0.0, 1500), (0.1875, 1000)]


def test_audio_cleared_in_the_moment_it_came_was_never_played() -> None:
    playout = Playout()
    playout.media(AUDIO, 1.0)
    playout.clear(1.0)
    playout.media(AUDIO, 1.0)
    assert runs(playout) == [(1.0, 1000)]


def test_a_full_buffer_throws_new_audio_away() -> None:
    playout = Playout(limit_ms=300)
    assert [playout.media(AUDIO, 0.0) is not None for _ in range(3)] == [True, True, False]
    assert playout.media(AUDIO, 0.125) is not None
    assert runs(playout) == [(0.0, 3000)]


steps = st.lists(
    st.tuples(
        st.floats(0, 0.3),
        st.one_of(
            st.integers(1, 4000).map(lambda size: ("media", size)),
            st.just(("mark", 0)),
            st.just(("clear", 0)),
        ),
    ),
    max_size=40,
)


@given(steps=steps)
def test_every_mark_comes_back_once_and_nothing_is_played_that_was_not_sent(
    steps: list[tuple[float, tuple[str, int]]],
) -> None:
    playout, now, sent, echoed, placed = Playout(), 0.0, 0, list[str](), list[str]()
    for wait_s, (what, size) in steps:
        now += wait_s
        echoed += playout.reached(now)
        if what == "media":
            playout.media(b"\x10" * size, now)
            sent += size
        elif what == "mark":
            placed.append(str(len(placed)))
            playout.mark(placed[-1], now)
        else:
            echoed += playout.clear(now)
    echoed += playout.reached(now + 1000)
    assert echoed == placed
    played = playout.runs
    assert sum(len(run.ulaw) for run in played) <= sent
    assert all(a.end <= b.start + 1e-9 for a, b in itertools.pairwise(played))
