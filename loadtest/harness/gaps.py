"""Silence inside an answer, from the model's marks: they tell a stall from two things said."""

from __future__ import annotations

from bisect import bisect_right

from loadtest.harness.tracking import CallTrack
from loadtest.twilio.wire import FRAME_MS


def longest_gap_ms(track: CallTrack, since: float) -> float | None:
    """Between two frames of the same piece of the model, of all that was heard ``since``.

    None where nothing of it was marked, so that the ear alone has to judge.
    """
    longest_ms: float | None = None
    later: tuple[tuple[int, int], float] | None = None
    for key, at in reversed(track.heard.items()):
        if at < since:
            break
        if key in track.cut:
            continue
        gap_ms = 0.0
        if later is not None and _piece(track, key) == _piece(track, later[0]):
            gap_ms = (later[1] - at) * 1000 - FRAME_MS
        longest_ms = max(longest_ms or 0.0, gap_ms)
        later = key, at
    return longest_ms


def _piece(track: CallTrack, key: tuple[int, int]) -> tuple[int, int]:
    """The session, and which of its answers the frame belongs to."""
    session, frame = key
    answers = track.sessions[session].answers if session in track.sessions else []
    return session, bisect_right(answers, frame, key=lambda answer: answer.first)
