from __future__ import annotations

from loadtest.bench.playout import NEVER_NS, Playout

MS = 1_000_000


def test_a_mark_is_due_when_the_audio_before_it_was_played() -> None:
    playout = Playout()
    playout.play(160, now_ns=0)
    playout.mark("a")
    playout.play(800, now_ns=5 * MS)
    playout.mark("b")
    assert playout.next_ns == 20 * MS
    assert playout.due(20 * MS - 1) == []
    assert playout.due(20 * MS) == ["a"]
    assert playout.due(120 * MS) == ["b"]
    assert playout.next_ns == NEVER_NS


def test_a_mark_behind_nothing_is_due_at_once() -> None:
    playout = Playout()
    playout.mark("a")
    assert playout.due(0) == ["a"]


def test_audio_after_a_pause_starts_when_it_comes() -> None:
    playout = Playout()
    playout.play(160, now_ns=0)
    playout.play(160, now_ns=1_000 * MS)
    playout.mark("a")
    assert playout.next_ns == 1_020 * MS


def test_clear_gives_back_every_pending_mark_and_silence() -> None:
    playout = Playout()
    playout.play(8_000, now_ns=0)
    playout.mark("a")
    playout.mark("b")
    assert playout.clear(100 * MS) == ["a", "b"]
    assert playout.next_ns == NEVER_NS
    playout.play(80, now_ns=100 * MS)
    playout.mark("c")
    assert playout.next_ns == 110 * MS
