"""When the caller hears the assistant begin and end."""

from __future__ import annotations

import pytest

from loadtest.twilio.hearing import Change, Ear
from tests.loadtest.twilio.conftest import silence, tone


def rounded(changes: list[Change]) -> list[tuple[str, float, bool]]:
    return [
        (type(change).__name__, round(change.at, 3), getattr(change, "cut", False))
        for change in changes
    ]


def test_silence_sent_as_audio_is_not_heard() -> None:
    ear = Ear()
    ear.heard(silence(500), 0.0)
    assert ear.advance(10.0) == []
    assert ear.quiet_from == float("-inf")


def test_a_spell_begins_at_the_first_audible_frame_and_ends_at_the_last() -> None:
    ear = Ear()
    ear.heard(silence(200) + tone(400) + silence(200), 1.0)
    assert ear.next_change_at == pytest.approx(1.2)
    assert rounded(ear.advance(1.25)) == [("SpellStarted", 1.2, False)]
    assert ear.speaking
    assert ear.is_audible(1.5)
    assert rounded(ear.advance(1.8)) == []
    assert rounded(ear.advance(2.0)) == [("SpellEnded", 1.6, False)]
    assert ear.quiet_from == pytest.approx(1.6)


def test_a_short_pause_belongs_to_the_spell_and_a_long_one_ends_it() -> None:
    ear = Ear()
    ear.heard(tone(100) + silence(200) + tone(100) + silence(400) + tone(100), 0.0)
    assert rounded(ear.advance(5.0)) == [
        ("SpellStarted", 0.0, False),
        ("SpellEnded", 0.4, False),
        ("SpellStarted", 0.8, False),
        ("SpellEnded", 0.9, False),
    ]


def test_a_cut_ends_the_spell_at_that_moment_and_forgets_the_rest() -> None:
    ear = Ear()
    ear.heard(tone(1000), 0.0)
    ear.advance(0.5)
    assert rounded(ear.cut(0.51)) == [("SpellEnded", 0.51, True)]
    assert ear.advance(5.0) == []
    assert ear.quiet_from == pytest.approx(0.51)


def test_a_cut_in_a_pause_ends_the_spell_where_the_pause_began() -> None:
    ear = Ear()
    ear.heard(tone(100), 0.0)
    ear.advance(0.2)
    assert rounded(ear.cut(0.25)) == [("SpellEnded", 0.1, True)]


def test_a_cut_before_anything_was_heard_is_silent() -> None:
    ear = Ear()
    ear.heard(tone(100), 1.0)
    assert ear.cut(0.5) == []
    assert ear.quiet_from == float("-inf")


def test_the_caller_taking_the_turn_settles_a_spell_in_its_last_pause() -> None:
    ear = Ear()
    ear.heard(tone(100), 0.0)
    ear.advance(0.05)
    assert ear.settle(0.05) == ear.settle(0.12) == []
    assert rounded(ear.settle(0.2)) == [("SpellEnded", 0.1, False)]
    ear.heard(tone(100), 0.25)
    assert rounded(ear.advance(0.3)) == [("SpellStarted", 0.25, False)]
