"""Callers who react to what they hear, and what is measured at their ear."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from loadtest.twilio import (
    CallerHungUp,
    CallEvent,
    CallResult,
    CallScript,
    Clip,
    HangUp,
    InterruptAfterMs,
    Settings,
    SimulatedTwilio,
    Speak,
    StayOnLine,
    Step,
    WaitFor,
    WaitMs,
    WaitUntilAssistantSilent,
    noise_frames,
)
from loadtest.twilio.pacing import ROUND_S
from tests.loadtest.twilio.conftest import (
    PUBLIC,
    MediaServer,
    Socket,
    clip,
    response,
    silence,
    tone,
)

TWIML = response(f'<Connect><Stream url="wss://{PUBLIC}/media"/></Connect>')


def script(*steps: Step) -> CallScript:
    return CallScript(steps=steps, twiml=TWIML, max_call_ms=10_000)


def kinds(result: CallResult, *wanted: str) -> list[str]:
    return [event.kind for event in result.timeline if event.kind in wanted]


TALK = ("caller_speech_started", "caller_speech_ended", "assistant_started", "assistant_stopped")


async def heard(socket: Socket, audible: bool) -> None:
    """Until the server receives a frame that is audible, or one that is not."""
    while ((await socket.until("media"))["media"]["payload"][:8] == "////////") is audible:
        pass


async def test_a_polite_caller_speaks_when_the_assistant_has_finished(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    async def assistant(socket: Socket) -> None:
        await socket.until("start")
        await socket.play(tone(300))
        await heard(socket, audible=True)
        await heard(socket, audible=False)
        await socket.play(silence(100) + tone(200), "end")
        await socket.until("mark")

    media.behaviour = assistant
    polite = script(WaitUntilAssistantSilent(150), Speak(clip(200)))
    result = await twilio.place_call(polite)
    assert kinds(result, *TALK) == [
        "assistant_started",
        "assistant_stopped",
        "caller_speech_started",
        "caller_speech_ended",
        "assistant_started",
        "assistant_stopped",
    ]
    by_kind = {event.kind: event for event in reversed(result.timeline)}
    stopped, spoke = by_kind["assistant_stopped"], by_kind["caller_speech_started"]
    assert spoke.at - stopped.at >= 0.15
    (turn,) = result.turns
    # The answer begins with 100 ms of silence, which is not heard as an answer.
    assert turn.latency_ms is not None
    assert turn.latency_ms >= 100
    assert result.barge_ins == ()
    assert result.greeting_ms is not None


async def test_an_interrupting_caller_talks_over_the_assistant_until_it_is_cleared(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    async def assistant(socket: Socket) -> None:
        await socket.until("start")
        await socket.play(tone(8000), "all of it")
        await heard(socket, audible=True)
        await socket.clear()
        await heard(socket, audible=False)
        await socket.play(tone(100), "answer")
        await socket.until("mark")

    media.behaviour = assistant
    result = await twilio.place_call(script(InterruptAfterMs(300), Speak(clip(400))))
    assert kinds(result, *TALK, "clear") == [
        "assistant_started",
        "caller_speech_started",
        "clear",
        "assistant_stopped",
        "caller_speech_ended",
        "assistant_started",
        "assistant_stopped",
    ]
    (barge_in,) = result.barge_ins
    assert barge_in.cut
    assert barge_in.silence_after_ms is not None
    started = next(event for event in result.timeline if event.kind == "assistant_started")
    assert barge_in.started_ms - started.at_ms >= 300
    assert [turn.latency_ms is not None for turn in result.turns] == [True]
    assert result.recording is not None
    clear = next(event for event in result.timeline if event.kind == "clear")
    after = result.recording.assistant[(clear.at_ms + 2) * 8 : (clear.at_ms + 60) * 8]
    before = result.recording.assistant[(clear.at_ms - 60) * 8 : (clear.at_ms - 2) * 8]
    assert set(after) == {0xFF}
    assert len(set(before)) > 10


async def test_a_caller_waits_for_what_happens_elsewhere_and_not_for_ever(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    elsewhere = asyncio.Event()

    async def assistant(socket: Socket) -> None:
        await socket.until("start")
        await socket.play(tone(100), "played")
        await socket.until("mark")
        elsewhere.set()
        await socket.until("stop")

    media.behaviour = assistant
    never = WaitFor(asyncio.Event(), max_ms=50)
    result = await twilio.place_call(script(WaitFor(elsewhere), Speak(clip(100)), never, HangUp()))
    assert kinds(result, *TALK) == [
        "assistant_started",
        "assistant_stopped",
        "caller_speech_started",
        "caller_speech_ended",
    ]
    assert isinstance(result.outcome, CallerHungUp)


async def test_a_caller_gives_up_waiting_for_an_assistant_that_says_nothing(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    result = await twilio.place_call(
        script(
            WaitUntilAssistantSilent(100, max_ms=80),
            InterruptAfterMs(100, max_ms=60),
            Speak(clip(100)),
            HangUp(),
        )
    )
    assert kinds(result, *TALK) == ["caller_speech_started", "caller_speech_ended"]
    assert [turn.latency_ms for turn in result.turns] == [None]
    assert result.outcomes == (CallerHungUp("caller"),)


async def test_a_caller_stays_on_the_line_only_so_long(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    result = await twilio.place_call(script(StayOnLine(max_ms=60)))
    assert result.outcomes == (CallerHungUp("caller"),)


async def test_an_answer_that_stalls_shows_its_gap(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    async def assistant(socket: Socket) -> None:
        await socket.until("start")
        await socket.play(tone(100), "first")
        await socket.until("mark")
        await socket.until("media")
        await socket.until("media")
        await socket.play(tone(100), "second")
        await socket.until("mark")

    media.behaviour = assistant
    result = await twilio.place_call(script())
    (gap_ms,) = result.streams[0].playout_gaps_ms
    assert gap_ms > 0
    assert kinds(result, "assistant_started", "playout_gap") == [
        "assistant_started",
        "playout_gap",
    ]


async def plays_twice(socket: Socket) -> None:
    """With 600 ms between, in which the caller is silent or not."""
    await socket.until("start")
    await socket.play(tone(100), "first")
    await socket.until("mark")
    for _ in range(30):
        await socket.until("media")
    await socket.play(tone(100), "second")
    await socket.until("mark")


async def test_a_stall_of_more_than_a_pause_of_speech_is_a_gap_as_well(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    media.behaviour = plays_twice
    result = await twilio.place_call(script())
    (gap_ms,) = result.streams[0].playout_gaps_ms
    assert gap_ms > 500
    assert kinds(result, "assistant_stopped", "playout_gap") == [
        "assistant_stopped",
        "playout_gap",
        "assistant_stopped",
    ]


async def test_what_is_said_after_the_caller_spoke_follows_no_gap(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    media.behaviour = plays_twice
    result = await twilio.place_call(script(WaitUntilAssistantSilent(100), Speak(clip(100))))
    assert len(result.turns) == 1
    assert result.streams[0].playout_gaps_ms == []


async def test_closing_before_the_audio_was_played_cuts_it_off(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    async def assistant(socket: Socket) -> None:
        await socket.until("start")
        await socket.play(tone(3000))
        for _ in range(5):
            await socket.until("media")

    media.behaviour = assistant
    result = await twilio.place_call(script())
    assert result.streams[0].cut_ms > 2000
    stopped = next(event for event in result.timeline if event.kind == "assistant_stopped")
    assert stopped.data == {"cut": True, "stream_over": True}


async def test_both_tracks_lie_on_the_time_axis_of_the_call(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    said = clip(200)

    async def assistant(socket: Socket) -> None:
        await heard(socket, audible=True)
        await heard(socket, audible=False)
        await socket.play(tone(160, hz=880), "end")
        await socket.until("mark")

    media.behaviour = assistant
    result = await twilio.place_call(script(WaitMs(60), Speak(said)))
    recording = result.recording
    assert recording is not None
    (spoke,) = [event for event in result.timeline if event.kind == "caller_speech_started"]
    (answered,) = [event for event in result.timeline if event.kind == "assistant_started"]
    caller = b"".join(frame.ulaw for frame in said.frames)
    assert abs(recording.caller.index(caller) / 8 - spoke.at_ms) <= 1
    assert abs(recording.assistant.index(tone(160, hz=880)) / 8 - answered.at_ms) <= 1
    assert len(recording.caller) == len(recording.assistant)


async def test_what_lies_on_the_line_in_silence_is_sent_and_recorded(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    noise = noise_frames(-55.0)
    changed = dataclasses.replace(script(WaitMs(100), HangUp()), background=noise)
    result = await twilio.place_call(changed)
    sent = {message["media"]["payload"].encode() for message in media.socket.of("media")}
    assert sent <= {frame.payload for frame in noise}
    assert result.recording is not None
    assert noise[1].ulaw in result.recording.caller


async def test_a_call_can_do_without_a_recording(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    result = await twilio.place_call(dataclasses.replace(script(HangUp()), record=False))
    assert result.recording is None


async def test_an_observer_sees_every_event_as_it_becomes_known(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    seen: list[CallEvent] = []
    result = await twilio.place_call(script(Speak(clip(60)), HangUp()), observer=seen.append)
    assert sorted(seen, key=lambda event: event.at) == list(result.timeline)
    assert {event.call_sid for event in seen} == {result.call_sid}
    assert result.timeline[0].as_json() == {
        "at_ms": 0,
        "kind": "call_started",
        "call_sid": result.call_sid,
    }


async def test_frames_keep_to_a_grid_over_a_longer_call(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    """Caller frames are due exactly 20 ms apart: after N frames the clock is N times 20 ms on."""
    result = await twilio.place_call(script(Speak(clip(1000)), WaitMs(500), HangUp()))
    (started,) = [event for event in result.timeline if event.kind == "caller_speech_started"]
    (ended,) = [event for event in result.timeline if event.kind == "caller_speech_ended"]
    assert ended.at - started.at == pytest.approx(49 * ROUND_S, abs=1e-6)
    assert twilio.lateness().frames >= 75


async def test_the_caller_of_a_bridge_that_is_gone_does_not_wait(settings: Settings) -> None:
    twiml = response('<Connect><Stream url="wss://127.0.0.1:1/"/></Connect>')
    async with SimulatedTwilio(settings) as twilio:
        calling = twilio.place_call(CallScript(steps=[Speak(Clip.of(tone(9000)))], twiml=twiml))
        result = await asyncio.wait_for(calling, 5)
    assert [notice.code for notice in result.errors] == [31902]
