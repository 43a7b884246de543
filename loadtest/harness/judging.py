"""What one call came to when it is over: where it went, what failed, what was lost on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from loadtest.harness.calllog import CallLog, TurnLog
from loadtest.harness.frames import judge_frames
from loadtest.harness.meter import Meter
from loadtest.harness.result import Waterfall
from loadtest.harness.tracking import CallTrack
from loadtest.scenarios import Place
from loadtest.twilio import (
    CallerHungUp,
    CallResult,
    Dialled,
    DocumentError,
    FlexTask,
    Outcome,
    Queued,
    Severity,
    StreamEnd,
    StudioReturn,
    StudioTrigger,
    Voicemail,
)

WAITED_S = 2.0
"""A caller who waits less for an answer has not been left without one."""
DECIDES_WITHIN_S = 5.0
"""Where another than the caller ended the call, so much silence may come before a decision."""
OLD_SPEECH_S = 1.0
"""What is said for longer after the caller's turn, without a pause, may hold the answer to it."""
NOWHERE: Place = "hangup"
RUN_OVER = "time over"
"""Why callers hang up when the run's own time is over."""
_NUMBERS = re.compile(r"\b(?:MZ|CA|FW|AC|WW)[0-9a-f]{32}\b|(?<=:)\d{2,5}\b")
_INTENT_KEYS = ("intent", "handoffReason")


def judge_call(
    meter: Meter, track: CallTrack, log: CallLog, result: CallResult, expect: Mapping[str, Any]
) -> None:
    """Add one call to the figures."""
    log.close()
    counts = meter.counts
    counts["calls"] += 1
    counts["frames"] += len(track.sent)
    cut = isinstance(result.outcomes[-1], CallerHungUp) and result.outcomes[-1].reason == RUN_OVER
    counts["calls_cut"] += cut
    meter.outcome(describe(result.outcome))
    astray = None if cut else _astray(meter, result, expect)
    failure = _failure(result, heard=log.heard_anything, cut=cut)
    failure = failure or track.crossed
    if failure is not None:
        counts["calls_failed"] += 1
        meter.error(failure)
    elif astray is not None:
        meter.error(astray)
    _notices(meter, result)
    counts["streams_refused"] += sum(one.end is StreamEnd.REFUSED for one in result.streams)
    _ungreeted(meter, log, result, cut=cut)
    _unanswered(meter, log, result, cut=cut)
    judge_frames(meter, track, log, result)
    for turn in log.turns:
        if turn.answered is not None:
            meter.turn(_waterfall(track, turn, result.call_sid))


def describe(outcome: Outcome) -> str:
    """Where a call went, with what told it so, and nothing of the caller."""
    match outcome:
        case StudioReturn(params=params):
            return _with("studio return", params)
        case StudioTrigger(params=params):
            return _with("studio trigger", params)
        case FlexTask(attributes=attributes):
            return _with("flex", attributes)
        case Queued(queue=queue):
            return f"queue {queue}"
        case CallerHungUp(reason=reason):
            return f"caller hung up ({reason})"
        case DocumentError(code=code):
            return f"document error {code}"
        case _:
            name = type(outcome).__name__
            return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()


def _with(place: str, data: Mapping[str, object]) -> str:
    told = [f"{name}={data[name]}" for name in ("intent", "queue") if data.get(name)]
    return " ".join([place, *told])


def _astray(meter: Meter, result: CallResult, expect: Mapping[str, Any]) -> str | None:
    """Counts a call that did not go where its scenario expects, or not with the intent; says so."""
    wanted, places = expect.get("intent"), expect.get("outcome", ())
    if not wanted and not places:
        return None
    arrived = (one for one in reversed(result.outcomes) if place_of(one) != NOWHERE)
    outcome = next(arrived, result.outcome)
    place, told = place_of(outcome), _intent_told(outcome)
    if place == NOWHERE:
        missed, elsewhere = NOWHERE not in places, False
    else:
        missed = bool(wanted) and told == ""
        elsewhere = bool(places) and place not in places
    misrouted = elsewhere or (bool(wanted) and told not in ("", None, wanted))
    meter.counts["not_routed"] += missed
    meter.counts["misrouted"] += misrouted
    if not (missed or misrouted):
        return None
    expected = ([f"intent={wanted}"] if wanted else []) + ([" or ".join(places)] if places else [])
    return f"expected {', '.join(expected)}; came: {describe(outcome)}"


def _intent_told(outcome: Outcome) -> str | None:
    """With which intent a call arrived, empty for none; None where a call cannot have one."""
    match outcome:
        case StudioReturn(params=data) | StudioTrigger(params=data) | FlexTask(attributes=data):
            return str(data.get("intent") or "")
        case _:
            return None


def place_of(outcome: Outcome) -> Place:
    """As scenarios name it; ``NOWHERE`` for whatever merely ended the call."""
    match outcome:
        case StudioReturn() | StudioTrigger():
            return "studio"
        case FlexTask():
            return "flex"
        case Queued():
            return "queue"
        case Dialled():
            return "dial"
        case Voicemail():
            return "voicemail"
        case _:
            return NOWHERE


def _failure(result: CallResult, *, heard: bool, cut: bool) -> str | None:
    """Why the bridge failed this call, if it did.

    A polite close of a stream on which nothing was ``heard`` is no end of a call that goes nowhere:
    so a bridge that is full lets go of its callers.
    """
    outcome = result.outcomes[-1]
    if isinstance(outcome, DocumentError):
        return f"{outcome.code}: {_general(outcome.message)}"
    for stream in result.streams:
        if stream.end is StreamEnd.REFUSED:
            return f"stream refused: {_general(_notice_of(result, stream.stream_sid))}"
        if stream.end is StreamEnd.LOST:
            return "stream lost: connection ended without a close, or broke the protocol"
        if stream.end is StreamEnd.CLOSED_BY_SERVER and stream.close_code not in (1000, 1005):
            return f"stream closed with {stream.close_code} {stream.close_reason}".strip()
        if stream.end is StreamEnd.CLOSED_BY_SERVER and not (heard or cut or _arrived(result)):
            return f"stream closed with {stream.close_code} before the caller heard anything"
    if not result.streams and not cut:
        return "no media stream was opened"
    return None


def _arrived(result: CallResult) -> bool:
    return any(place_of(one) != NOWHERE for one in result.outcomes)


def _notice_of(result: CallResult, stream_sid: str) -> str:
    return next((n.message for n in result.notices if n.subject == stream_sid), "no reason given")


def _notices(meter: Meter, result: CallResult) -> None:
    for notice in result.notices:
        if notice.severity is not Severity.INFO:
            meter.counts["notices"] += notice.count
            meter.error(f"{int(notice.code)} {_general(notice.message)}")


def _general(text: str) -> str:
    """Without what is different every time."""
    return _NUMBERS.sub("…", text)[:200]


def _ungreeted(meter: Meter, log: CallLog, result: CallResult, *, cut: bool) -> None:
    """A caller who waited for the assistant's first words, and spoke or left without them."""
    if not log.awaits_greeting or log.greeted or log.stream_started is None:
        return
    following = log.turns[0] if log.turns else None
    counted = _left_waiting(log.stream_started, following, log, result, cut=cut)
    meter.counts["greetings_missing"] += counted


def _unanswered(meter: Meter, log: CallLog, result: CallResult, *, cut: bool) -> None:
    """Turns after which the caller waited and heard nothing, while the stream was there."""
    for turn, following in zip_longest(log.turns, log.turns[1:]):
        since = turn.waits_from
        if not turn.waiting or turn.ended is None or since is None:
            continue
        if since - turn.ended <= OLD_SPEECH_S:
            counted = _left_waiting(since, following, log, result, cut=cut)
            meter.counts["unanswered_turns"] += counted


def _left_waiting(
    since: float, following: TurnLog | None, log: CallLog, result: CallResult, *, cut: bool
) -> bool:
    """Whether the caller has waited in vain: until speaking again, or until the call's end.

    A call that arrived somewhere was handed over, which is an answer as well.
    """
    if following is not None:
        return following.started - since >= WAITED_S
    if _arrived(result):
        return False
    left_by_caller = log.stream_ended is None and not cut
    patience_s = WAITED_S if left_by_caller else DECIDES_WITHIN_S
    return _ended(log, result) - since >= patience_s


def _ended(log: CallLog, result: CallResult) -> float:
    """When nothing could be heard any more. How long a bridge takes over a close does not count."""
    if log.stream_ended is not None:
        return log.stream_ended
    ends = [stream.ended for stream in result.streams if stream.ended is not None]
    return max(ends, default=result.timeline[-1].at)


# --- one turn -----------------------------------------------------------------------------------


def _waterfall(track: CallTrack, turn: TurnLog, call_sid: str) -> Waterfall:
    ended = turn.ended or 0.0

    def since(at: float | None) -> float | None:
        return None if not at else round((at - ended) * 1000, 3)

    frame = turn.last_frame
    stopped = _first(track, "stops", ended, turn.answered)
    return Waterfall(
        call=call_sid,
        turn=turn.number,
        uplink_ms=since(track.watched.get(frame) if frame is not None else None),
        speech_stopped_ms=since(stopped),
        first_model_audio_ms=since(_first(track, "first_audio", stopped or ended, turn.answered)),
        first_audio_sent_ms=since(turn.media_at),
        first_audio_out_ms=since(turn.answered),
        mark_ms=since(turn.marked),
    )


def _first(track: CallTrack, what: str, after: float, before: float | None) -> float | None:
    """The first moment of this kind in any of the call's sessions between the two."""
    return min(_between(track, what, after, before or float("inf")), default=None)


def _between(track: CallTrack, what: str, after: float, before: float) -> Iterator[float]:
    for session in track.sessions.values():
        moments: list[float] = getattr(session, what)
        yield from (at for at in moments if after <= at <= before)
