"""One call: what happened goes in, what is to be done comes out. All judgement of a call lives here.

Knows no socket, no clock and no randomness. ``handle`` is called for everything but caller audio, which goes
from socket to socket past this class and only moves its audio clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from bridge.call.desk import Answer, Desk, Finish, Lookup
from bridge.call.effects import Effect, EndCall, Note, RunTool
from bridge.call.events import (
    CallerLegClosed,
    CallerStarted,
    Event,
    HandoverRequested,
    ModelLegClosed,
    ModelReady,
    TimePassed,
    ToolFinished,
)
from bridge.call.keypad import Keypad
from bridge.call.limits import CallLimits
from bridge.call.responses import ResponseSequencer
from bridge.call.timers import TimerName, Timers
from bridge.call.transcript import Transcript, heard_words
from bridge.call.turns import TurnClock
from bridge.call.usage import UsageMeter
from bridge.call.voice import GREETING_ITEM, LINE_ITEM, AssistantVoice, CachedLine
from bridge.protocol import realtime as rt
from bridge.protocol import twilio_stream as tw
from bridge.protocol.realtime import severity
from bridge.protocol.twilio_stream import parse_mark
from dispatch.outcome import AssistantFailed, CallerLeft

CLOSING_PURPOSE = "closing"
STILL_THERE = "The caller has been silent for a while. Ask briefly whether they are still there."
ENDING_CANCELLED = (
    "The caller spoke before the call was moved on. Nothing has been transferred. Listen to them, "
    "answer, and call the tool again when it is clear what they want."
)


class Phase(Enum):
    NEW = auto()
    TALKING = auto()
    CLOSING = auto()
    """Decided: the closing line is being said."""
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Script:
    """What the assistant says by itself. ``greeting`` "" lets the caller speak first.

    A cached line is played at once; without one the model is asked to say the greeting.
    """

    greeting: str = ""
    greeting_line: CachedLine | None = None
    apology_line: CachedLine | None = None
    interrupts_itself: bool = True
    """The server's VAD cancels a running response when the caller speaks (``interrupt_response``)."""
    answers_itself: bool = True
    """The server starts a response when the caller stops speaking (``create_response``)."""


class CallSession:
    """The life of one call, from ``CallerStarted`` to exactly one ``EndCall``."""

    def __init__(
        self, desk: Desk, script: Script, limits: CallLimits, *, vad_silence_ms: int
    ) -> None:
        self._desk = desk
        self._script = script
        self._limits = limits
        self.phase = Phase.NEW
        self.voice = AssistantVoice()
        self.turns = TurnClock(vad_silence_ms)
        self.transcript = Transcript()
        self.usage = UsageMeter()
        self.responses = ResponseSequencer()
        self._timers = Timers()
        self._keypad = Keypad()
        self._started_at = 0.0
        self._model_ready = False
        self._greeting_heard = 1.0
        self._seen_calls: set[str] = set()
        self._running_tools: set[str] = set()
        self._failed_responses = 0
        self._unanswered = 0
        self._asked_still_there = False
        self._forced_decision = False
        self._spoken_in_response = ""
        self._tool_in_response = False
        self._finish: Finish | None = None
        self._closing_response: str | None = None
        self._end_mark: str | None = None
        self._end_marks = 0
        self._cancelled_endings = 0

    # --- the one door ------------------------------------------------------------------------

    @property
    def next_deadline(self) -> float | None:
        """When to call with ``TimePassed``, in seconds of the same clock; None: never."""
        return self._timers.next_deadline

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What follows from ``event``. After the call ended: nothing."""
        if self.phase is Phase.ENDED:
            return []
        effects = self._react(event, now)
        if self.phase is Phase.TALKING or self.phase is Phase.CLOSING:
            self._ask_for_owed_response(effects, now)
        return effects

    def _react(self, event: Event, now: float) -> list[Effect]:  # noqa: C901, PLR0911, PLR0912
        match event:
            case rt.AudioDelta():
                return self._assistant_audio(event, now)
            case tw.Mark(name=name):
                return self._mark(name, now)
            case rt.SpeechStarted(item_id=item_id):
                return self._caller_speaks(item_id, now)
            case rt.SpeechStopped(audio_end_ms=audio_end_ms):
                return self._caller_stopped_speaking(audio_end_ms, now)
            case rt.CallerTranscript(item_id=item_id, text=text):
                return self._caller_words(item_id, text, event.seconds, now)
            case rt.AssistantTranscript(item_id=item_id, text=text):
                return self._assistant_words(item_id, text, now)
            case rt.ResponseStarted(response_id=response_id):
                return self._response_started(response_id)
            case rt.AudioDone(item_id=item_id):
                self.voice.playback.generated(item_id)
                return []
            case rt.ToolCall():
                return self._tool_called(event, now)
            case rt.ResponseDone():
                return self._response_done(event, now)
            case rt.ServerError():
                return self._server_error(event, now)
            case CallerStarted():
                return self._caller_started(now)
            case ModelReady():
                return self._model_is_ready(now)
            case tw.Dtmf(digit=digit):
                return self._digit(digit, now)
            case ToolFinished(call_id=call_id, output=output):
                return self._tool_finished(call_id, output, now)
            case TimePassed():
                return self._time_passed(now)
            case tw.Stop():
                return self._end(CallerLeft(), "caller_left")
            case CallerLegClosed(reason=reason):
                return self._end(CallerLeft(), reason)
            case ModelLegClosed(reason=reason):
                return self._model_gone(reason, now)
            case HandoverRequested(reason=reason):
                return self._give_up(reason, now)
            case rt.CallerTranscriptFailed(item_id=item_id, code=code):
                return [Note("transcript_failed", {"item": item_id, "code": code})]
            case (
                rt.SessionCreated()
                | rt.SessionUpdated()
                | rt.InputCommitted()
                | rt.InputTimedOut()
                | rt.RateLimitsUpdated()
                | rt.Unhandled()
            ):
                return []
            case _:
                assert_never(event)

    # --- beginning ---------------------------------------------------------------------------

    def _caller_started(self, now: float) -> list[Effect]:
        if self.phase is not Phase.NEW:
            return []
        self.phase = Phase.TALKING
        self._started_at = now
        self.turns.audio.last_frame_at = now
        self._timers.set("call", now + self._limits.max_call_s)
        self._timers.set("decision", now + self._limits.undecided_s)
        self._timers.set("media", now + self._limits.media_stall_s)
        if not self._model_ready:
            self._timers.set("model_ready", now + self._limits.model_ready_s)
        line = self._script.greeting_line
        if line is None:
            return self._greet_by_model() if self._model_ready else []
        self.transcript.words("assistant", GREETING_ITEM, line.text, 0)
        effects = self.voice.play_line(GREETING_ITEM, line)
        effects.append(Note("greeting", {"cached": True}, line.text))
        if self._model_ready:
            effects += self._tell_greeting()
        return effects

    def _model_is_ready(self, now: float) -> list[Effect]:
        self._model_ready = True
        self._timers.cancel("model_ready")
        if self.phase is not Phase.TALKING:
            return []
        ready_ms = round((now - self._started_at) * 1000)
        effects: list[Effect] = [Note("model_ready", {"after_ms": ready_ms})]
        if self._script.greeting_line is not None:
            return effects + self._tell_greeting()
        if self._script.greeting:
            return effects + self._greet_by_model()
        self._listen_for_silence(now)
        return effects

    def _greet_by_model(self) -> list[Effect]:
        if self._script.greeting and not self.responses.caller_speaking:
            say = f'Say exactly this sentence and nothing else: "{self._script.greeting}"'
            self.responses.owe(rt.CreateResponse(instructions=say, tool_choice="none"))
        return []

    def _tell_greeting(self) -> list[Effect]:
        assert self._script.greeting_line is not None
        said = heard_words(self._script.greeting_line.text, self._greeting_heard)
        return [rt.AddText("assistant", said, item_id=GREETING_ITEM)]

    # --- the caller --------------------------------------------------------------------------

    def _caller_speaks(self, item_id: str, now: float) -> list[Effect]:
        self.responses.caller_speaking = True
        self.turns.speech_started()
        self._timers.cancel("caller_silence", "answer")
        self._asked_still_there = False
        self.transcript.begin("caller", item_id, self._since_start_ms(now))
        effects: list[Effect] = [Note("caller_speaks", {"item": item_id})]
        if self.phase is Phase.CLOSING and not self._may_cancel_ending():
            return effects
        effects += self._interrupt(now)
        if self.phase is Phase.CLOSING:
            effects += self._cancel_ending(now)
        return effects

    def _interrupt(self, now: float) -> list[Effect]:
        """Silence the assistant. The server cancels its own response; otherwise we ask for that."""
        self.voice.mute(self.responses.active_id)
        stops, cuts = self.voice.interrupt(now)
        effects = list(stops)
        if self.responses.active_id is not None and not self._script.interrupts_itself:
            effects.append(rt.CancelResponse(self.responses.active_id))
        if not cuts:
            return effects
        self.turns.barge_in(now)
        for cut in cuts:
            self._remember_cut(cut.item_id, cut.heard_ms, cut.sent_ms)
            if cut.item_id == GREETING_ITEM:
                effects += self._retell_greeting(cut.heard_ms, cut.sent_ms)
        heard = {"item": cuts[0].item_id, "heard_ms": cuts[0].heard_ms, "sent_ms": cuts[0].sent_ms}
        return [*effects, Note("barge_in", heard)]

    def _remember_cut(self, item_id: str, heard_ms: int, sent_ms: int) -> None:
        if heard_ms == 0:
            self.transcript.drop(item_id)
        else:
            self.transcript.cut(item_id, heard_ms, sent_ms)

    def _retell_greeting(self, heard_ms: int, sent_ms: int) -> list[Effect]:
        """The model was told the whole greeting as text: put right what was really heard."""
        self._greeting_heard = heard_ms / sent_ms if sent_ms else 0.0
        if not self._model_ready:
            return []
        return [rt.DeleteItem(GREETING_ITEM)] + (
            [
                rt.AddText(
                    "assistant",
                    heard_words(self._script.greeting, self._greeting_heard),
                    item_id=f"{GREETING_ITEM}_cut",
                )
            ]
            if heard_ms
            else []
        )

    def _caller_stopped_speaking(self, audio_end_ms: int, now: float) -> list[Effect]:
        self.responses.caller_speaking = False
        self.responses.awaiting_automatic = self._script.answers_itself
        self.turns.speech_stopped(audio_end_ms, now)
        if self.phase is Phase.TALKING:
            self._timers.set("answer", now + self._limits.answer_s)
            if len(self.turns.turns) > self._limits.max_turns:
                return self._decide(self._desk.limit_reached("max_turns"), now)
        return [Note("caller_stopped", {"turn": len(self.turns.turns)})]

    def _caller_words(
        self, item_id: str, text: str, seconds: float | None, now: float
    ) -> list[Effect]:
        self.usage.transcribed_seconds += seconds or 0.0
        self.transcript.words("caller", item_id, text, self._since_start_ms(now))
        effects: list[Effect] = [Note("caller_said", {"item": item_id}, text)]
        finish = self._desk.caller_said(text) if self.phase is Phase.TALKING else None
        return effects if finish is None else effects + self._decide_at_once(finish, now)

    def _digit(self, digit: str, now: float) -> list[Effect]:
        self._timers.cancel("caller_silence")
        effects: list[Effect] = [Note("digit")]
        if self.phase is not Phase.TALKING:
            return effects
        finish = self._desk.digit_pressed(digit)
        if finish is not None:
            return effects + self._decide_at_once(finish, now)
        if self._keypad.push(digit):
            return effects + self._entry_complete()
        self._timers.set("digits", now + self._limits.digit_gap_s)
        return effects

    def _entry_complete(self) -> list[Effect]:
        self._timers.cancel("digits")
        digits = self._keypad.take()
        if not digits:
            return []
        self.responses.owe(rt.CreateResponse())
        return [rt.AddText("user", f"(The caller pressed these keys on the phone: {digits})")]

    # --- the assistant -----------------------------------------------------------------------

    def _assistant_audio(self, event: rt.AudioDelta, now: float) -> list[Effect]:
        if self.voice.is_muted(event):
            return []
        effects = self.voice.play(event.item_id, event.content_index, event.payload)
        if self.turns.model_audio(event.item_id, now):
            self._timers.cancel("answer")
            self._unanswered = 0
            self.transcript.begin("assistant", event.item_id, self._since_start_ms(now))
            effects.append(Note("assistant_speaks", {"item": event.item_id}))
        return effects

    def _assistant_words(self, item_id: str, text: str, now: float) -> list[Effect]:
        self.transcript.words("assistant", item_id, text, self._since_start_ms(now))
        self._spoken_in_response += text
        return [Note("assistant_said", {"item": item_id}, text)]

    def _mark(self, name: str, now: float) -> list[Effect]:
        if name == self._end_mark:
            return self._end_as_decided("closing_heard")
        reference = parse_mark(name)
        if reference is None or not self.voice.playback.reached(reference, now):
            return []
        effects: list[Effect] = []
        if reference.heard_ms == 0:
            turn = self.turns.playing(reference.item_id, now)
            if turn is not None:
                effects.append(Note("turn", _turn_figures(turn)))
        if not self.voice.playback.pending:
            effects.append(Note("assistant_heard", {"item": reference.item_id}))
            self._listen_for_silence(now)
        return effects

    def _response_started(self, response_id: str) -> list[Effect]:
        asked = self.responses.requested
        was_asked = self.responses.started(response_id)
        self._timers.cancel("response_start", "caller_silence")
        self._spoken_in_response = ""
        self._tool_in_response = False
        if was_asked and self.responses.caller_speaking:
            # It began after the caller did: the server will not interrupt it by itself.
            self.voice.mute(response_id)
            return [rt.CancelResponse(response_id)]
        if was_asked and asked is not None and asked.metadata.get("purpose") == CLOSING_PURPOSE:
            self._closing_response = response_id
        elif not was_asked and self.phase is Phase.TALKING:
            self.responses.forget()  # the server's own response has seen what we wanted said
        return []

    def _response_done(self, event: rt.ResponseDone, now: float) -> list[Effect]:
        self.usage.add(event.usage)
        self.responses.done(event.response_id)
        self.voice.unmute(event.response_id)
        effects: list[Effect] = []
        for call in event.tool_calls:
            effects += self._tool_called(call, now)
        if self.phase is Phase.ENDED:
            return effects
        if self._closing_response == event.response_id:
            return effects + self._closing_spoken(now)
        if event.status in ("failed", "incomplete"):
            return effects + self._response_failed(event, now)
        if event.status == "completed":
            self._failed_responses = 0
            effects += self._watch_for_empty_promise()
        self._listen_for_silence(now)
        return effects

    def _response_failed(self, event: rt.ResponseDone, now: float) -> list[Effect]:
        self._failed_responses += 1
        why = event.error_code or event.reason or event.status
        note = Note("response_failed", {"code": why, "count": self._failed_responses})
        if self._failed_responses > 1:
            return [note, *self._give_up(f"response_failed:{why}", now)]
        self._timers.set("retry", now + self._limits.retry_after_s)
        return [note]

    def _watch_for_empty_promise(self) -> list[Effect]:
        """The assistant said that it transfers, and called nothing: make it call the tool."""
        if self.phase is not Phase.TALKING or self._tool_in_response:
            return []
        if not self._desk.announced_without_deciding(self._spoken_in_response):
            return []
        self.responses.owe(rt.CreateResponse(tool_choice=self._desk.deciding_tool))
        return [Note("empty_promise")]

    # --- tools -------------------------------------------------------------------------------

    def _tool_called(self, call: rt.ToolCall, now: float) -> list[Effect]:
        """One call is reported in several events and acted on once; an interrupted one never."""
        if not call.completed or call.call_id in self._seen_calls:
            return []
        self._seen_calls.add(call.call_id)
        self._tool_in_response = True
        self.turns.tool_used()
        self._timers.cancel("answer")
        effects: list[Effect] = [Note("tool_called", {"name": call.name})]
        if self.phase is not Phase.TALKING:
            return [*effects, rt.AddToolOutput(call.call_id, '{"status":"already_decided"}')]
        match self._desk.tool_called(call.name, call.arguments):
            case Answer(output=output):
                self.responses.owe(rt.CreateResponse())
                return [*effects, rt.AddToolOutput(call.call_id, output)]
            case Lookup(name=name, arguments=arguments):
                self._running_tools.add(call.call_id)
                return [*effects, RunTool(call.call_id, name, arguments)]
            case Finish() as finish:
                output_item = rt.AddToolOutput(call.call_id, finish.output)
                return [*effects, output_item, *self._decide(finish, now)]
            case other:
                assert_never(other)

    def _tool_finished(self, call_id: str, output: str, now: float) -> list[Effect]:
        if call_id not in self._running_tools:
            return []
        self._running_tools.discard(call_id)
        if not self._running_tools and self.phase is Phase.TALKING:
            self.responses.owe(rt.CreateResponse())
            self._timers.set("answer", now + self._limits.answer_s)
        return [rt.AddToolOutput(call_id, output)]

    # --- ending ------------------------------------------------------------------------------

    def _decide_at_once(self, finish: Finish, now: float) -> list[Effect]:
        """A decision that does not wait for the model: cut what it is saying."""
        effects = self._interrupt(now)
        if self.responses.active_id is not None:
            self.voice.mute(self.responses.active_id)
            effects.append(rt.CancelResponse(self.responses.active_id))
        self.responses.caller_speaking = False
        self.responses.awaiting_automatic = False
        return effects + self._decide(finish, now)

    def _decide(self, finish: Finish, now: float) -> list[Effect]:
        self.phase = Phase.CLOSING
        self._finish = finish
        self._timers.cancel("answer", "caller_silence", "decision", "digits", "retry")
        decided: list[Effect] = [Note("decided", {"outcome": type(finish.outcome).__name__})]
        if not finish.closing or not self._model_ready:
            return decided + self._closing_spoken(now)
        wish = rt.CreateResponse(
            instructions=finish.closing,
            tool_choice="none",
            metadata={"purpose": CLOSING_PURPOSE},
        )
        self.responses.owe(wish)
        self._timers.set("closing", self._spoken_by(now) + self._limits.closing_start_s)
        return decided

    def _closing_spoken(self, now: float) -> list[Effect]:
        """All of the closing line was sent: end when its last audio was heard, or a little later."""
        self._end_marks += 1
        self._end_mark = f"end-{self._end_marks}"
        self._timers.set("closing", self._spoken_by(now) + self._limits.closing_margin_s)
        return [tw.SendMark(self._end_mark)]

    def _spoken_by(self, now: float) -> float:
        """When everything sent so far will have been played."""
        return now + self.voice.playback.remaining_ms(now) / 1000

    def _may_cancel_ending(self) -> bool:
        return (
            self._finish is not None
            and self._finish.cancellable
            and self._cancelled_endings < self._limits.max_cancelled_endings
        )

    def _cancel_ending(self, now: float) -> list[Effect]:
        self._cancelled_endings += 1
        self.phase = Phase.TALKING
        self._finish = None
        self._end_mark = None
        self._closing_response = None
        self.responses.forget()
        self._timers.cancel("closing")
        self._timers.set("decision", now + self._limits.undecided_s)
        return [rt.AddText("system", ENDING_CANCELLED), Note("ending_cancelled")]

    def _end_as_decided(self, reason: str) -> list[Effect]:
        assert self._finish is not None
        return self._end(self._finish.outcome, reason)

    def _give_up(self, reason: str, now: float) -> list[Effect]:
        """The assistant cannot go on: a cached apology if there is one, then the fallback route."""
        if self.phase is Phase.CLOSING and self._finish is not None:
            return [Note("gave_up", {"reason": reason}), *self._closing_spoken(now)]
        line = self._script.apology_line
        self.responses.forget()
        self._model_ready = False
        effects = self._interrupt(now) if line is not None else []
        effects.append(Note("gave_up", {"reason": reason}))
        if line is None:
            return effects + self._end(AssistantFailed(reason), reason)
        self.transcript.words("assistant", LINE_ITEM, line.text, self._since_start_ms(now))
        effects += self.voice.play_line(LINE_ITEM, line)
        finish = Finish(AssistantFailed(reason), cancellable=False)
        return effects + self._decide(finish, now)

    def _model_gone(self, reason: str, now: float) -> list[Effect]:
        self._model_ready = False
        self.responses.active_id = self.responses.requested = None
        if self.phase is Phase.NEW:
            return self._end(AssistantFailed(reason), reason)
        return self._give_up(reason, now)

    def _end(self, outcome: AssistantFailed | CallerLeft | object, reason: str) -> list[Effect]:
        self.phase = Phase.ENDED
        self._timers.clear()
        return [Note("ended", {"reason": reason}), EndCall(outcome)]

    # --- trouble and time --------------------------------------------------------------------

    def _server_error(self, event: rt.ServerError, now: float) -> list[Effect]:
        level = severity(event)
        note = Note("server_error", {"code": event.code, "severity": level})
        if event.code == "conversation_already_has_active_response":
            self.responses.refused(event.event_id)
            self._timers.cancel("response_start")
        if level in ("session_over", "fatal"):
            return [note, *self._give_up(event.code or event.kind, now)]
        return [note]

    def _ask_for_owed_response(self, effects: list[Effect], now: float) -> None:
        if self._model_ready and not self._running_tools:
            command = self.responses.due()
            if command is not None:
                effects.append(command)
                self._timers.set("response_start", now + self._limits.response_start_s)

    def _listen_for_silence(self, now: float) -> None:
        """Count the caller's silence from when the last audio sent will have been played."""
        free = self.responses.idle and not self.responses.caller_speaking and not self._running_tools
        if self.phase is Phase.TALKING and free and self.responses.owed is None:
            due = self._spoken_by(now) + self._limits.caller_silence_s
            self._timers.set("caller_silence", due)

    def _time_passed(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for name in self._timers.take_due(now):
            if self.phase is not Phase.ENDED:
                effects += self._timer(name, now)
        return effects

    def _timer(self, name: TimerName, now: float) -> list[Effect]:
        match name:
            case "answer" | "response_start":
                return self._no_answer(now)
            case "call":
                return self._limit("max_call", now)
            case "caller_silence":
                return self._caller_silent(now)
            case "closing":
                return self._end_as_decided("closing_timeout")
            case "decision":
                return self._limit("undecided", now)
            case "digits":
                return self._entry_complete()
            case "media":
                return self._check_media(now)
            case "model_ready":
                return self._give_up("model_not_ready", now)
            case "retry":
                self.responses.owe(rt.CreateResponse())
                return []
            case other:
                assert_never(other)

    def _no_answer(self, now: float) -> list[Effect]:
        self._unanswered += 1
        effects: list[Effect] = [Note("no_answer", {"count": self._unanswered})]
        if self.phase is Phase.CLOSING:
            return effects
        if self._unanswered > 1:
            return [*effects, *self._give_up("model_silent", now)]
        if self.responses.active_id is not None:
            self.voice.mute(self.responses.active_id)
            effects.append(rt.CancelResponse(self.responses.active_id))
        self.responses.requested = None
        self.responses.awaiting_automatic = False
        self.responses.owe(rt.CreateResponse())
        self._timers.set("answer", now + self._limits.answer_s)
        return effects

    def _caller_silent(self, now: float) -> list[Effect]:
        if self._asked_still_there:
            return self._limit("caller_silent", now)
        self._asked_still_there = True
        self.responses.owe(rt.CreateResponse())
        return [rt.AddText("system", STILL_THERE), Note("caller_silent")]

    def _limit(self, kind: str, now: float) -> list[Effect]:
        if self.phase is Phase.CLOSING:
            return []
        return [Note("limit", {"kind": kind}), *self._decide(self._desk.limit_reached(kind), now)]

    def _check_media(self, now: float) -> list[Effect]:
        due = self.turns.audio.last_frame_at + self._limits.media_stall_s
        if due <= now:
            return self._end(CallerLeft(), "media_stalled")
        self._timers.set("media", due)
        return []

    def _since_start_ms(self, now: float) -> int:
        return int((now - self._started_at) * 1000)


def _turn_figures(turn: object) -> Mapping[str, str | int | float | bool | None]:
    from bridge.call.turns import Turn

    assert isinstance(turn, Turn)
    return {
        "turn": turn.index,
        "first_model_audio_ms": turn.first_model_audio_ms,
        "first_audio_out_ms": turn.first_audio_out_ms,
        "bridge_ms": turn.bridge_ms,
        "used_tool": turn.used_tool,
    }
