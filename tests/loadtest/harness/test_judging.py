"""What one call came to: where it went, what failed, what was lost on either way."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness import watermark
from loadtest.harness.calllog import CallLog
from loadtest.harness.judging import RUN_OVER, describe, judge_call
from loadtest.harness.meter import Meter
from loadtest.harness.tracking import Ear, SessionTrack, Tracker
from loadtest.harness.watermark import UPLINK, Blank
from loadtest.realtime.record import ResponseRecord
from loadtest.twilio import (
    CallerHungUp,
    CallEvent,
    CallResult,
    DocumentError,
    FellOffTheEnd,
    FlexTask,
    Hangup,
    Notice,
    Outcome,
    Queued,
    Severity,
    StreamEnd,
    StreamReport,
    StudioReturn,
)
from loadtest.twilio.audio import SILENCE
from loadtest.twilio.notices import Code

LOUD = bytes([0x10, 0x90]) * 80


class Scene:
    """One call between a caller and a simulated session, with the clock left out."""

    def __init__(self) -> None:
        self.meter = Meter(random.Random(1))
        self.tracker = Tracker(self.meter, follows_model=True)
        self.track = self.tracker.call(None)
        self.log = CallLog(self.meter, self.track)
        self.log.heard_anything = True
        self.ear = Ear(self.track, self.tracker)
        self.session = SessionTrack(self.tracker.sessions_seen, self.tracker)
        self.tracker.sessions[self.session.number] = self.session
        self.session.configured()

    def send(self, count: int) -> list[bytes]:
        """Frames of the caller, as the bridge gets them."""
        blank = Blank.of(SILENCE)
        frames = []
        for _ in range(count):
            mark = watermark.word(UPLINK, self.track.number, len(self.track.sent))
            self.track.sent.append(1e9)  # later than anything: no frame was held
            head = int.from_bytes(SILENCE.ulaw[:48], "big")
            assert blank.head == head & int.from_bytes(b"\xfe" * 48, "big")
            bits = [mark >> shift & 1 for shift in range(47, -1, -1)]
            frames.append(
                bytes(c & 0xFE | b for c, b in zip(SILENCE.ulaw[:48], bits, strict=True))
                + SILENCE.ulaw[48:]
            )
        return frames

    def answer(self, frames: int) -> tuple[bytes, ResponseRecord]:
        """Audio of the model, all of which it sends."""
        response = ResponseRecord(1, f"resp{frames}", "turn", True, 0.0, {}, status="completed")
        audio = self.session.speaking(LOUD * frames, response)
        self.session.spoke(len(audio), response)
        return audio, response

    def judged(
        self,
        *outcomes: Outcome,
        expect: Mapping[str, object] = MappingProxyType({"intent": "billing"}),
        **given: object,
    ) -> Counter[str]:
        result = call_result(*(outcomes or (Hangup(),)), **given)
        judge_call(self.meter, self.track, self.log, result, expect)
        return self.meter.counts


def call_result(*outcomes: Outcome, **given: object) -> CallResult:
    stream = StreamReport("MZ1", "ws://x", {}, 0.0, 9.0, StreamEnd.CLOSED_BY_SERVER, 1000)
    end = CallEvent("call_ended", 60_000, 60.0, "CA1")
    fields: dict[str, object] = {
        "call_sid": "CA1",
        "outcomes": outcomes,
        "notices": (),
        "timeline": (end,),
        "webhooks": (),
        "streams": (stream,),
        "recording": None,
        "duration_ms": 60_000,
    }
    return CallResult(**{**fields, **given})  # type: ignore[arg-type]


# --- where it went ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (
            StudioReturn("FW1", {"intent": "schedule", "name": "Al"}),
            "studio return intent=schedule",
        ),
        (FlexTask("WT1", "WW1", {"queue": "q"}, {}, 1, 1, "bridged"), "flex queue=q"),
        (CallerHungUp("caller"), "caller hung up (caller)"),
        (FellOffTheEnd(), "fell off the end"),
        (DocumentError(11200, "answered 503", "https://x"), "document error 11200"),
    ],
)
def test_outcomes_are_named_without_anything_of_the_caller(outcome: Outcome, text: str) -> None:
    assert describe(outcome) == text


def test_a_call_that_went_where_it_should_has_nothing_against_it() -> None:
    counts = Scene().judged(StudioReturn("FW1", {"intent": "billing"}))
    assert {name: count for name, count in counts.items() if count} == {"calls": 1}


def test_another_intent_than_expected_is_misrouted() -> None:
    assert Scene().judged(StudioReturn("FW1", {"intent": "schedule"}))["misrouted"] == 1


FLEX = FlexTask("WT1", "WW1", {"queue": "q"}, {}, 1, 1, "bridged")


@pytest.mark.parametrize(
    ("outcome", "expect", "text"),
    [
        (Hangup(), {"intent": "faq"}, "expected intent=faq; came: hangup"),
        (CallerHungUp("caller"), {"intent": "faq"}, "expected intent=faq; came: caller hung up"),
        (FLEX, {"intent": "faq"}, "expected intent=faq; came: flex queue=q"),
        (Hangup(), {"outcome": ["flex"]}, "expected flex; came: hangup"),
        (Hangup(), {"intent": "faq", "outcome": ["flex", "hangup"]}, None),
        (FLEX, {"outcome": ["flex"]}, None),
        (Queued("q", "bridged"), {"intent": "faq"}, None),
        (Hangup(), {}, None),
    ],
    ids=[
        "hung up", "given up", "without an intent", "another end", "may hang up", "as expected",
        "where no intent can go", "nothing expected",
    ],
)  # fmt: skip
def test_a_call_that_went_nowhere_or_without_its_intent_is_not_routed(
    outcome: Outcome, expect: Mapping[str, object], text: str | None
) -> None:
    scene = Scene()
    counts = scene.judged(outcome, expect=expect)
    assert (counts["not_routed"], counts["misrouted"]) == (int(text is not None), 0)
    assert [one.startswith(text or "") for one in scene.meter.errors] == [True] * bool(text)


def test_a_call_that_went_to_another_place_than_expected_is_misrouted() -> None:
    scene = Scene()
    counts = scene.judged(FLEX, Hangup(), expect={"outcome": ["studio", "voicemail"]})
    assert (counts["not_routed"], counts["misrouted"]) == (0, 1)
    assert scene.meter.errors == {"expected studio or voicemail; came: flex queue=q": 1}


def test_a_call_that_the_run_ended_before_its_stream_is_neither_failed_nor_lost() -> None:
    counts = Scene().judged(CallerHungUp(RUN_OVER), streams=())
    assert {name: count for name, count in counts.items() if count} == {"calls": 1, "calls_cut": 1}


def test_a_call_that_the_run_ended_is_cut_and_not_failed() -> None:
    stopped = StreamReport("MZ1", "ws://x", {}, 0.0, 9.0, StreamEnd.STOPPED)
    counts = Scene().judged(CallerHungUp(RUN_OVER), streams=(stopped,))
    assert (counts["calls_cut"], counts["calls_failed"]) == (1, 0)


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (
            StreamReport("MZ1", "ws://x", {}, end=StreamEnd.REFUSED),
            "stream refused: no reason given",
        ),
        (
            StreamReport("MZ1", "ws://x", {}, 0.0, 1.0, StreamEnd.LOST, 1006),
            "stream lost: connection ended without a close, or broke the protocol",
        ),
        (
            StreamReport("MZ1", "ws://x", {}, 0.0, 1.0, StreamEnd.CLOSED_BY_SERVER, 1011, "oops"),
            "stream closed with 1011 oops",
        ),
    ],
    ids=["refused", "lost", "error"],
)
def test_streams_that_fail_fail_the_call(stream: StreamReport, text: str) -> None:
    scene = Scene()
    assert scene.judged(FellOffTheEnd(), streams=(stream,))["calls_failed"] == 1
    assert scene.meter.errors == {text: 1}


@pytest.mark.parametrize("code", [1000, 1005])
def test_a_stream_closed_politely_before_anything_was_heard_fails_the_call(code: int) -> None:
    scene = Scene()
    scene.log.heard_anything = False
    stream = StreamReport("MZ1", "ws://x", {}, 0.0, 0.1, StreamEnd.CLOSED_BY_SERVER, code)
    assert scene.judged(FellOffTheEnd(), streams=(stream,))["calls_failed"] == 1
    assert scene.meter.errors == {f"stream closed with {code} before the caller heard anything": 1}


@pytest.mark.parametrize(
    ("heard", "outcomes"),
    [
        (True, (FellOffTheEnd(),)),
        (False, (FLEX, Hangup())),
        (False, (CallerHungUp(RUN_OVER),)),
    ],
    ids=["the caller was spoken to", "handed over at once", "the run was over"],
)
def test_a_polite_close_is_no_failure_where(heard: bool, outcomes: tuple[Outcome, ...]) -> None:
    scene = Scene()
    scene.log.heard_anything = heard
    assert scene.judged(*outcomes, expect={})["calls_failed"] == 0


def test_notices_are_counted_and_named_once_without_what_changes() -> None:
    scene = Scene()
    message = f"streamSid is {'MZ' + 'a' * 32!r}, expected one at 127.0.0.1:8080"
    notice = Notice(Code.STREAM_INVALID_MESSAGE, Severity.ERROR, message, 0, count=3)
    assert scene.judged(notices=(notice,), expect={})["notices"] == 3
    assert scene.meter.errors == {"31951 streamSid is '…', expected one at 127.0.0.1:…": 1}


@pytest.mark.parametrize(("patience_s", "unanswered"), [(1.0, 0), (8.0, 1)])
def test_a_caller_who_waited_in_vain_was_not_answered(patience_s: float, unanswered: int) -> None:
    scene = asked_at(20.0)
    stopped = StreamReport("MZ1", "ws://x", {}, 0.0, 20.0 + patience_s, StreamEnd.STOPPED)
    # The bridge was slow to follow our close, which nobody waited for.
    end = CallEvent("call_ended", 0, 22.0 + patience_s, "CA1")
    counts = scene.judged(CallerHungUp("caller"), streams=(stopped,), timeline=(end,))
    assert counts["unanswered_turns"] == unanswered


def asked_at(ended: float) -> Scene:
    """A call in which the caller spoke for two seconds and heard nothing after it."""
    scene = Scene()
    scene.log.awaits_greeting = True
    scene.log(CallEvent("stream_started", 0, 1.0, "CA1"))
    scene.log(CallEvent("caller_speech_started", 0, ended - 2, "CA1", {"over_assistant": False}))
    scene.log(CallEvent("caller_speech_ended", 0, ended, "CA1"))
    return scene


GONE_ON = StudioReturn("FW1", {"intent": "billing"})
CUT_SHORT = CallerHungUp(RUN_OVER)
IN_VAIN = [
    (Hangup(), True, 6.0, 1),
    (Hangup(), True, 3.0, 0),
    (GONE_ON, True, 6.0, 0),
    (CUT_SHORT, False, 6.0, 1),
    (CUT_SHORT, False, 3.0, 0),
]
HOW = ["the bridge gave up", "it decided", "it handed over", "the run was over", "not long before"]


@pytest.mark.parametrize(("outcome", "by_bridge", "waited_s", "counted"), IN_VAIN, ids=HOW)
def test_silence_to_the_end_of_the_call_is_no_answer(
    outcome: Outcome, by_bridge: bool, waited_s: float, counted: int
) -> None:
    scene = asked_at(20.0)
    counts = ended_after(scene, outcome, by_bridge, 20.0 + waited_s)
    assert counts["unanswered_turns"] == counted


@pytest.mark.parametrize(("outcome", "by_bridge", "waited_s", "counted"), IN_VAIN, ids=HOW)
def test_silence_from_the_start_is_no_greeting(
    outcome: Outcome, by_bridge: bool, waited_s: float, counted: int
) -> None:
    scene = Scene()
    scene.log.awaits_greeting = True
    scene.log(CallEvent("stream_started", 0, 1.0, "CA1"))
    assert ended_after(scene, outcome, by_bridge, 1.0 + waited_s)["greetings_missing"] == counted


def ended_after(scene: Scene, outcome: Outcome, by_bridge: bool, at: float) -> Counter[str]:
    if by_bridge:
        scene.log(CallEvent("stream_closed", 0, at, "CA1"))
    end = StreamEnd.CLOSED_BY_SERVER if by_bridge else StreamEnd.STOPPED
    stream = StreamReport("MZ1", "ws://x", {}, 0.0, at, end, 1000 if by_bridge else None)
    return scene.judged(outcome, streams=(stream,))


@pytest.mark.parametrize(
    ("awaited", "heard_at", "missing"), [(True, 9.0, 1), (True, 3.0, 0), (False, 9.0, 0)]
)
def test_a_greeting_that_comes_after_the_caller_has_spoken_is_missing(
    awaited: bool, heard_at: float, missing: int
) -> None:
    scene = Scene()
    scene.log.awaits_greeting = awaited
    said = [(6.0, "caller_speech_started"), (8.0, "caller_speech_ended")]
    for at, kind in sorted([(1.0, "stream_started"), (heard_at, "assistant_started"), *said]):
        scene.log(CallEvent(kind, 0, at, "CA1"))  # type: ignore[arg-type]
    assert scene.judged()["greetings_missing"] == missing


@pytest.mark.parametrize(("old_speech_s", "unanswered"), [(0.5, 1), (4.0, 0)])
def test_what_is_said_long_after_the_turn_may_be_the_answer(
    old_speech_s: float, unanswered: int
) -> None:
    scene = Scene()
    scene.log(CallEvent("stream_started", 0, 1.0, "CA1"))
    scene.log(CallEvent("assistant_started", 0, 2.0, "CA1"))
    scene.log(CallEvent("caller_speech_started", 0, 3.0, "CA1", {"over_assistant": True}))
    scene.log(CallEvent("caller_speech_ended", 0, 4.0, "CA1"))
    scene.log(CallEvent("assistant_stopped", 0, 4.0 + old_speech_s, "CA1", {"cut": False}))
    counts = ended_after(scene, CallerHungUp("caller"), by_bridge=False, at=20.0)
    assert counts["unanswered_turns"] == unanswered


# --- uplink -------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_lost_doubled_and_late_comers_are_told_apart(order: list[int]) -> None:
    scene = Scene()
    frames = scene.send(31)
    for index in order:
        scene.session.appended(frames[index])
    highest, reordered = -1, 0
    seen: set[int] = set()
    for index in order:
        reordered += index not in seen and index < highest
        seen.add(index)
        highest = max(highest, index)
    counts = scene.judged()
    assert {
        "lost_frames": counts["lost_frames"],
        "duplicate_frames": counts["duplicate_frames"],
        "reordered_frames": counts["reordered_frames"],
    } == {
        "lost_frames": highest + 1 - len(seen),
        "duplicate_frames": len(order) - len(seen),
        "reordered_frames": reordered,
    }


def test_frames_sent_before_the_session_was_ready_are_held_and_not_late() -> None:
    scene = Scene()
    frames = scene.send(3)
    for index in range(3):
        scene.track.sent[index] = 0.0
    for frame in frames:
        scene.session.appended(frame)
    counts = scene.judged()
    assert (counts["held_frames"], counts["late_frames"]) == (3, 0)


TOLD_TO_ANOTHER = "audio of one caller reached the model's session of another"


def test_frames_in_the_session_of_another_call_are_crossed_and_fail_both_calls() -> None:
    scene = Scene()
    owner, stranger = scene.track, scene.tracker.call(None)
    own = scene.send(4)
    scene.track = stranger
    foreign = scene.send(3)
    for one, other in zip(own, [*foreign, b""], strict=True):
        scene.session.appended(one)
        scene.session.appended(other)
    assert list(owner.arrived) == [0, 1, 2, 3]
    assert list(stranger.arrived) == []
    assert scene.meter.counts["crossed_frames"] == 3
    scene.judged(FLEX, expect={})
    scene.track = owner
    assert scene.judged(FLEX, expect={})["calls_failed"] == 2
    assert scene.meter.errors == {TOLD_TO_ANOTHER: 2}


def test_a_session_that_goes_on_with_another_caller_is_crossed_and_then_that_callers() -> None:
    scene = Scene()
    for frame in scene.send(3):
        scene.session.appended(frame)
    scene.tracker.forget(scene.track)
    scene.track = scene.tracker.call(None)
    for frame in scene.send(5):
        scene.session.appended(frame)
    assert (scene.session.call, list(scene.track.arrived)) == (scene.track, [1, 2, 3, 4])
    audio, _ = scene.answer(10)
    scene.ear = Ear(scene.track, scene.tracker)
    scene.ear.heard(audio, 100.0)
    assert scene.meter.counts["crossed_frames"] == 2
    assert len(scene.track.heard) == 10


def test_a_single_frame_of_another_is_chance() -> None:
    """A number is checked by twelve bits: among thousands of calls one is met now and then."""
    scene = Scene()
    owner, stranger = scene.track, scene.tracker.call(None)
    own = scene.send(2)
    scene.track = stranger
    for frame in (scene.send(1)[0], *own):
        scene.session.appended(frame)
    assert scene.session.call is owner
    assert owner.sessions == {scene.session.number: scene.session}
    assert stranger.sessions == {}
    assert scene.judged(FLEX, expect={})["calls_failed"] == 0
    assert scene.meter.counts["crossed_frames"] == 0


def test_an_answer_heard_by_another_caller_is_crossed_and_fails_both_calls() -> None:
    scene = talking()
    audio, _ = scene.answer(10)
    eavesdropper = scene.tracker.call(None)
    Ear(eavesdropper, scene.tracker).heard(audio, 100.0)
    assert scene.meter.counts["crossed_frames"] == 10
    assert eavesdropper.crossed == scene.track.crossed == "audio for one caller reached another"


# --- downlink -----------------------------------------------------------------------------------


def talking() -> Scene:
    """A session that knows its call."""
    scene = Scene()
    scene.session.appended(scene.send(1)[0])
    scene.log(CallEvent("stream_started", 0, 0.0, "CA1"))
    return scene


def downlink(counts: Counter[str]) -> tuple[int, int, int]:
    return counts["lost_audio_ms"], counts["clipped_starts"], counts["clipped_ends"]


def closed(scene: Scene) -> Counter[str]:
    """Judged after the bridge has closed the stream, long after everything."""
    scene.log(CallEvent("stream_closed", 0, 2e9, "CA1"))
    return scene.judged()


def test_an_answer_heard_whole_has_lost_nothing() -> None:
    scene = talking()
    audio, _ = scene.answer(50)
    for start in range(0, len(audio), 1000):
        scene.ear.heard(audio[start : start + 1000], 100.0 + start / 8000)
    assert downlink(closed(scene)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (slice(160 * 5, None), (100, 1, 0)),
        (slice(None, 160 * 45), (100, 0, 1)),
    ],
    ids=["the start", "the end"],
)
def test_a_clipped_answer_is_told_by_its_side(kept: slice, expected: tuple[int, int, int]) -> None:
    scene = talking()
    audio, _ = scene.answer(50)
    scene.ear.heard(audio[kept], 100.0)
    assert downlink(closed(scene)) == expected


def test_frames_lost_in_the_middle_are_lost_audio() -> None:
    scene = talking()
    audio, _ = scene.answer(50)
    scene.ear.heard(audio[: 160 * 10], 100.0)
    scene.ear.heard(audio[160 * 13 :], 100.2)
    assert downlink(closed(scene)) == (60, 0, 0)


@pytest.mark.parametrize(("split", "gap_ms"), [(False, 1500), (True, 0)], ids=["stall", "pause"])
def test_silence_inside_an_answer_is_a_gap_and_between_two_is_none(
    split: bool, gap_ms: float
) -> None:
    scene = talking()
    if split:
        first, second = scene.answer(50)[0], scene.answer(40)[0]
    else:
        audio, _ = scene.answer(90)
        first, second = audio[: 160 * 50], audio[160 * 50 :]
    scene.log(CallEvent("assistant_started", 0, 100.0, "CA1"))
    scene.ear.heard(first, 100.0)
    scene.log(CallEvent("playout_gap", 0, 102.5, "CA1", {"gap_ms": 1500}))
    scene.ear.heard(second, 102.5)
    scene.log(CallEvent("assistant_stopped", 0, 103.3, "CA1", {"cut": False}))
    closed(scene)
    assert scene.meter.figures()["answer_gaps"].max == pytest.approx(gap_ms, rel=1e-3)


def test_a_goodbye_that_the_end_of_the_stream_cut_off_is_clipped() -> None:
    scene = talking()
    audio, _ = scene.answer(50)
    scene.ear.heard(audio, 100.0)
    scene.ear.cut(100.5)
    assert downlink(closed(scene)) == (0, 0, 1)


def test_an_answer_that_the_caller_cut_short_is_not_clipped() -> None:
    scene = talking()
    audio, _ = scene.answer(50)
    began = scene.session.answers[0].began
    scene.ear.heard(audio, began)
    scene.log(CallEvent("caller_speech_started", 0, began + 0.3, "CA1", {"over_assistant": True}))
    scene.ear.cut(began + 0.4)
    scene.log(CallEvent("caller_speech_ended", 0, began + 2, "CA1"))
    assert downlink(closed(scene)) == (0, 0, 0)


def test_an_answer_that_the_model_took_back_is_not_clipped() -> None:
    scene = talking()
    audio, response = scene.answer(50)
    response.status = "cancelled"
    scene.ear.heard(audio[: 160 * 50], 100.0)
    scene.ear.cut(100.5)
    assert downlink(closed(scene))[2] == 0


def test_audio_that_a_clear_threw_away_may_be_played_again() -> None:
    scene = talking()
    audio, _ = scene.answer(50)
    scene.ear.heard(audio, 100.0)
    scene.ear.cut(100.5)
    scene.ear.heard(audio[160 * 25 :], 101.0)
    counts = closed(scene)
    assert downlink(counts) == (0, 0, 0)
    assert (counts["duplicate_audio_ms"], counts["reordered_audio_ms"]) == (0, 0)


def test_audio_played_again_counts_as_far_as_it_was_heard() -> None:
    scene = talking()
    audio, _ = scene.answer(50)
    scene.ear.heard(audio, 100.0)
    scene.ear.heard(audio, 101.0)
    scene.ear.cut(101.5)
    counts = closed(scene)
    assert downlink(counts) == (0, 0, 0)
    assert counts["duplicate_audio_ms"] == 500


@given(st.permutations(range(8)))
def test_answers_out_of_their_order_are_counted(order: list[int]) -> None:
    scene = talking()
    audio, _ = scene.answer(8)
    for place, frame in enumerate(order):
        scene.ear.heard(audio[160 * frame : 160 * (frame + 1)], 100.0 + place * 0.02)
    late = sum(any(one > frame for one in order[:place]) for place, frame in enumerate(order))
    assert closed(scene)["reordered_audio_ms"] == late * 20
