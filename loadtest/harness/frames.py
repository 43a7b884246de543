"""What was lost of one call's audio on its way, frame by frame, in both directions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from loadtest.harness.answers import Answer
from loadtest.harness.calllog import CallLog
from loadtest.harness.meter import Meter
from loadtest.harness.tracking import CallTrack, SessionTrack
from loadtest.harness.watermark import NUMBER_LIMIT
from loadtest.twilio import CallResult
from loadtest.twilio.wire import FRAME_MS

AFTER_SPEECH_S = 3.0
"""A clear so soon after the caller spoke was asked for by what was said."""
UNDER_WAY_S = 1.0
"""What was sent so shortly before the end of a stream or session may have been under way."""


def judge_frames(meter: Meter, track: CallTrack, log: CallLog, result: CallResult) -> None:
    """Add to the counts what became of the call's numbered frames."""
    following = meter.following
    following.calls += bool(track.arrived)
    following.uplink.strange_bytes += sum(one.strange_bytes for one in track.sessions.values())
    following.answers.strange_bytes += track.strange_bytes
    meter.counts["duplicate_audio_ms"] += len(track.again) * FRAME_MS
    _uplink(meter, track)
    ended = log.stream_ended if log.stream_ended is not None else result.timeline[-1].at
    if track.sent:  # the line hears nothing more either, however long the stream took to close
        ended = min(ended, track.sent[-1])
    for session in track.sessions.values():
        for answer in session.answers:
            _downlink(meter, track, session, answer, log, ended)


def _uplink(meter: Meter, track: CallTrack) -> None:
    """Of a call of which nothing came nobody knows the session: the tracker looks for it."""
    if not track.arrived:
        return
    arrived = np.array(track.arrived, dtype=np.int64)
    distinct = np.unique(arrived)
    before = np.maximum.accumulate(np.concatenate(([-1], arrived[:-1])))
    _, firsts = np.unique(arrived, return_index=True)
    first_time = np.zeros(len(arrived), dtype=bool)
    first_time[firsts] = True
    counts = meter.counts
    due = max(int(distinct[-1]) + 1, _due(track))
    counts["lost_frames"] += due - len(distinct)
    meter.following.uplink.due += due
    meter.following.uplink.missing += due - len(distinct)
    counts["duplicate_frames"] += len(arrived) - len(distinct)
    counts["reordered_frames"] += int(np.sum((arrived < before) & first_time))


def _due(track: CallTrack) -> int:
    """So many frames were sent while the stream was up and a session of the call was open.

    A bridge may close its last session and keep the caller: it is done with the model then.
    """
    ends = [session.closed_at for session in track.sessions.values()]
    closed = max((float("inf") if end is None else end for end in ends), default=float("inf"))
    horizon = min(closed, track.sent[-1]) - UNDER_WAY_S
    return min(bisect_right(track.sent, horizon), NUMBER_LIMIT)


def _downlink(
    meter: Meter,
    track: CallTrack,
    session: SessionTrack,
    answer: Answer,
    log: CallLog,
    stream_ended: float,
) -> None:
    """What the caller never heard of one answer, though nobody had asked for silence."""
    horizon = _undisturbed_until(answer, log, stream_ended)
    number, frames = session.number, range(answer.first, answer.end)
    due = [frame for frame in frames if session.sent[frame] < horizon]
    missing = sum((number, frame) not in track.heard for frame in due)
    meter.counts["lost_audio_ms"] += missing * FRAME_MS
    meter.following.answers.due += len(due)
    meter.following.answers.missing += missing
    keys = ((number, frame) for frame in frames)
    played = [key[1] for key in keys if key in track.heard and key not in track.cut]
    late = _after_later([track.heard[number, frame] for frame in played])
    meter.counts["reordered_audio_ms"] += late * FRAME_MS
    if answer.audible is None or not played:
        return
    meter.counts["clipped_starts"] += played[0] > answer.audible[0]
    if answer.complete and played[-1] < answer.audible[1]:
        meter.counts["clipped_ends"] += not _asked_for(answer, track, number, log)


def _after_later(times: Sequence[float]) -> int:
    """How many came after one that belongs behind them."""
    count, earliest = 0, float("inf")
    for time in reversed(times):
        count += time > earliest
        earliest = min(earliest, time)
    return count


def _undisturbed_until(answer: Answer, log: CallLog, stream_ended: float) -> float:
    """Up to here everything that was sent had to be heard."""
    ends = [stream_ended - UNDER_WAY_S]
    for started, ended in log.speech:
        if started <= answer.began <= ended:
            return float("-inf")
        if started > answer.began:
            ends.append(started)
    ends += [cleared for cleared in log.clears if cleared > answer.began]
    return min(ends)


def _asked_for(answer: Answer, track: CallTrack, number: int, log: CallLog) -> bool:
    """Whether the caller's own words or leaving are why its end was not heard."""
    planned_end = max(
        track.heard[key]
        for frame in range(answer.first, answer.end)
        if (key := (number, frame)) in track.heard
    )
    if log.stream_ended is None:
        return True  # the caller left, or the run was over
    if any(answer.began <= start <= planned_end for start, _ in log.speech):
        return True
    return any(
        answer.began <= cleared <= planned_end + 1
        and any(start <= cleared <= end + AFTER_SPEECH_S for start, end in log.speech)
        for cleared in log.clears
    )
