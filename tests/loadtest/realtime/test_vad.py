from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.realtime.vad import EnergyVad, SpeechStarted, SpeechStopped, VadEvent

SPEECH, SILENCE = -20.0, -math.inf


def feed(vad: EnergyVad, *levels: tuple[float, int]) -> list[VadEvent]:
    """Runs of (level in dBFS, milliseconds)."""
    frames = [level for level, duration_ms in levels for _ in range(duration_ms // 20)]
    return [event for event in map(vad.feed, frames) if event is not None]


def test_start_includes_the_prefix_and_end_includes_the_silence() -> None:
    vad = EnergyVad(threshold=0.5, prefix_ms=300, silence_ms=500)
    assert feed(vad, (SILENCE, 1000), (SPEECH, 800), (SILENCE, 1000)) == [
        SpeechStarted(700),
        SpeechStopped(700, 2300),
    ]


def test_a_turn_begins_no_earlier_than_the_audio() -> None:
    vad = EnergyVad(threshold=0.5, prefix_ms=300, silence_ms=200)
    assert feed(vad, (SILENCE, 100), (SPEECH, 100)) == [SpeechStarted(0)]


def test_a_turn_begins_no_earlier_than_the_end_of_the_one_before() -> None:
    vad = EnergyVad(threshold=0.5, prefix_ms=300, silence_ms=100)
    assert feed(vad, (SPEECH, 200), (SILENCE, 120), (SPEECH, 100)) == [
        SpeechStarted(0),
        SpeechStopped(0, 300),
        SpeechStarted(300),
    ]


def test_clicks_are_not_speech() -> None:
    vad = EnergyVad(threshold=0.5, prefix_ms=300, silence_ms=200)
    assert feed(vad, *[(SPEECH, 40), (SILENCE, 60)] * 20) == []


def test_one_peak_of_the_noise_does_not_prolong_a_turn() -> None:
    vad = EnergyVad(threshold=0.5, prefix_ms=0, silence_ms=200)
    events = feed(vad, (SPEECH, 100), (SILENCE, 100), (SPEECH, 20), (SILENCE, 80))
    assert events == [SpeechStarted(0), SpeechStopped(0, 300)]


def test_a_pause_shorter_than_the_silence_stays_within_the_turn() -> None:
    vad = EnergyVad(threshold=0.5, prefix_ms=0, silence_ms=500)
    events = feed(vad, (SPEECH, 400), (SILENCE, 480), (SPEECH, 400), (SILENCE, 500))
    assert events == [SpeechStarted(0), SpeechStopped(0, 1780)]


@pytest.mark.parametrize(("threshold", "limit"), [(0.0, -44), (0.5, -34), (1.0, -24)])
def test_threshold_is_a_level(threshold: float, limit: int) -> None:
    quiet = EnergyVad(threshold, prefix_ms=0, silence_ms=200)
    assert feed(quiet, (limit - 1.0, 400)) == []
    loud = EnergyVad(threshold, prefix_ms=0, silence_ms=200)
    assert feed(loud, (limit + 1.0, 400)) == [SpeechStarted(0)]


def test_a_noise_floor_above_the_limit_is_learned_within_three_seconds() -> None:
    vad = EnergyVad(threshold=0.5, prefix_ms=0, silence_ms=200)
    assert feed(vad, (-32.0, 3400)) == [SpeechStarted(0), SpeechStopped(0, 3180)]
    assert feed(vad, (-32.0, 2000), (SPEECH, 100)) == [SpeechStarted(5400)]


def test_steady_loud_sound_stays_speech() -> None:
    vad = EnergyVad(threshold=0.5, prefix_ms=0, silence_ms=200)
    assert feed(vad, (SPEECH, 30_000)) == [SpeechStarted(0)]


def test_reset_forgets_the_turn_but_not_the_clock() -> None:
    vad = EnergyVad(threshold=0.5, prefix_ms=300, silence_ms=200)
    feed(vad, (SPEECH, 1000))
    vad.reset()
    assert vad.started_ms is None
    assert feed(vad, (SILENCE, 400), (SPEECH, 60)) == [SpeechStarted(1100)]


@given(
    st.lists(st.tuples(st.sampled_from([SPEECH, SILENCE, -35.0]), st.integers(1, 40)), max_size=30),
    st.integers(0, 1000),
    st.integers(100, 1000),
)
def test_turns_alternate_and_never_overlap(
    runs: list[tuple[float, int]], prefix_ms: int, silence_ms: int
) -> None:
    vad = EnergyVad(0.5, prefix_ms, silence_ms)
    events = feed(vad, *[(level, frames * 20) for level, frames in runs])
    end_ms = 0
    for start, stop in zip(events[::2], [*events[1::2], None], strict=False):
        assert isinstance(start, SpeechStarted)
        assert start.audio_start_ms >= end_ms
        if stop is None:
            break
        assert isinstance(stop, SpeechStopped)
        assert stop.audio_start_ms == start.audio_start_ms
        assert stop.audio_end_ms >= start.audio_start_ms + silence_ms
        end_ms = stop.audio_end_ms
    assert end_ms <= vad.clock_ms
