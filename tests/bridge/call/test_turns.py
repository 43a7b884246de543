"""The latency clock of a turn."""

from __future__ import annotations

import pytest

from bridge.call.turns import AudioClock, TurnClock


def clock_at(appended_ms: int, last_frame_at: float, vad_silence_ms: int = 500) -> TurnClock:
    return TurnClock(vad_silence_ms, AudioClock(appended_ms, last_frame_at))


def test_an_audio_position_is_a_moment_of_our_own_clock() -> None:
    assert AudioClock(appended_ms=10_000, last_frame_at=70.0).time_of(8_500) == 68.5


def test_the_silence_that_the_server_waited_for_is_taken_off_the_end_of_speech() -> None:
    clock = clock_at(appended_ms=10_000, last_frame_at=70.0)
    clock.speech_stopped(audio_end_ms=9_960, now=70.1)
    assert (clock.turns[0].speech_end_at, clock.turns[0].speech_stopped_at) == (69.46, 70.1)


def test_speech_never_ends_after_it_was_reported() -> None:
    clock = clock_at(appended_ms=1_000, last_frame_at=70.0, vad_silence_ms=0)
    clock.speech_stopped(audio_end_ms=5_000, now=70.1)
    assert clock.turns[0].speech_end_at == 70.1


def test_the_figures_of_an_answered_turn() -> None:
    clock = clock_at(appended_ms=10_000, last_frame_at=70.0)
    clock.speech_stopped(audio_end_ms=10_000, now=70.0)
    assert clock.model_audio("item_1", 70.6)
    clock.written(70.602)
    assert not clock.model_audio("item_1", 70.7)
    clock.written(70.702)
    turn = clock.playing("item_1", 70.65)
    assert turn is clock.turns[0]
    assert turn is not None
    assert (turn.first_model_audio_ms, turn.bridge_ms) == (600.0, 2.0)
    assert turn.first_audio_out_ms == pytest.approx(1150.0)


def test_only_the_answers_own_item_completes_a_turn() -> None:
    clock = clock_at(0, 70.0)
    clock.speech_stopped(0, 70.0)
    clock.model_audio("item_2", 70.5)
    assert clock.playing("item_1", 70.6) is None
    assert clock.playing("item_2", 70.7) is clock.turns[0]


def test_a_turn_that_the_caller_spoke_into_stays_open_ended() -> None:
    clock = clock_at(0, 70.0)
    clock.speech_stopped(0, 70.0)
    clock.speech_started()
    assert not clock.model_audio("item_1", 70.5)
    assert clock.turns[0].first_audio_out_ms is None


def test_a_turn_with_a_tool_is_marked() -> None:
    clock = clock_at(0, 70.0)
    clock.tool_used()
    clock.speech_stopped(0, 70.0)
    clock.tool_used()
    assert [turn.used_tool for turn in clock.turns] == [True]


def test_a_turn_that_is_decided_before_its_answer_plays_is_marked() -> None:
    clock = clock_at(0, 70.0)
    clock.decided()
    clock.speech_stopped(0, 70.0)
    clock.model_audio("item_1", 70.5)
    clock.playing("item_1", 70.6)
    clock.decided()
    clock.speech_stopped(0, 71.0)
    clock.decided()
    assert [turn.decided for turn in clock.turns] == [False, True]


def test_a_barge_in_is_measured_to_when_the_clear_was_written_and_once() -> None:
    clock = clock_at(0, 70.0)
    clock.barge_in(71.0)
    clock.written(71.0004)
    clock.written(72.0)
    assert clock.barge_in_to_clear_ms == [0.4]
