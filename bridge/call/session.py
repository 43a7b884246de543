"""One call: what happened goes in, what is to be done comes out. All judgement of a call is here.

Knows no socket, no clock and no randomness. ``handle`` is called for everything but caller audio,
which goes from socket to socket past this class and only moves its audio clock.
"""

from __future__ import annotations

from bridge.call.desk import Desk
from bridge.call.effects import Effect, Note
from bridge.call.ending import CLOSING_PURPOSE, Ending
from bridge.call.events import (
    CallerLegClosed,
    CallerStarted,
    Event,
    Fields,
    HandoverRequested,
    ModelLegClosed,
    ModelReady,
    TimePassed,
    ToolFinished,
)
from bridge.call.hold import Hold
from bridge.call.keypad import Keypad
from bridge.call.limits import CallLimits
from bridge.call.opening import Opening
from bridge.call.recovery import Recovery
from bridge.call.state import CallState, Phase, Script
from bridge.call.timers import TimerName
from bridge.call.tools import Tools
from bridge.call.turns import Turn, TurnClock
from bridge.call.voice import GREETING_ITEM
from bridge.call.watch import Watch
from bridge.protocol import realtime as rt
from bridge.protocol import twilio_stream as tw
from dispatch.outcome import AssistantFailed, CallerLeft

MAX_PROMISES = 2
"""So often the assistant is made to keep its promise; then the default route is taken."""
GONE_SILENTLY = "model_closed_1006"
"""No close came: the connection broke, or was given up when nobody answered on it."""


class CallSession:
    """The life of one call, from ``CallerStarted`` to exactly one ``EndCall``."""

    def __init__(self, desk: Desk, script: Script, limits: CallLimits, turns: TurnClock) -> None:
        self.state = CallState(desk, script, limits, turns)
        self.turns = self.state.turns
        self._opening = Opening(self.state)
        self._ending = Ending(self.state)
        self._tools = Tools(self.state, self._ending)
        self._watch = Watch(self.state, self._ending)
        self._recovery = Recovery(self.state, self._ending)
        self._hold = Hold(self.state)
        self._keypad = Keypad(self.state, self._ending, self._watch)
        self._spoken = ""
        self._tools_before = 0
        self._promises = 0

    @property
    def next_deadline(self) -> float | None:
        """When to call with ``TimePassed``, in seconds of the same clock; None: never."""
        return self.state.timers.next_deadline

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What follows from ``event``. After the call ended: nothing."""
        if self.state.ended:
            return []
        if isinstance(event, rt.AssistantTranscriptDelta):
            return self._next_words(event, now)  # the commonest: nothing follows from it
        effects = self._react(event, now)
        if self.state.phase is Phase.ENDED:
            return [*self._half_said(), *effects]
        self._ask_for_owed_response(effects, now)
        self._hold.watch(now)
        return effects

    def _react(self, event: Event, now: float) -> list[Effect]:
        """The commonest first: what the model and Twilio send while people talk."""
        match event:
            case rt.AudioDelta():
                return self._assistant_audio(event, now)
            case tw.Mark(name=name):
                return self._mark(name, now)
            case rt.SpeechStarted(item_id=item_id):
                return self._caller_speaks(item_id, now)
            case rt.SpeechStopped(audio_end_ms=audio_end_ms):
                return self._caller_stopped(audio_end_ms, now)
            case rt.CallerTranscript():
                return self._caller_words(event, now)
            case rt.AssistantTranscript():
                return self._assistant_words(event, now)
            case rt.AudioDone(item_id=item_id):
                self.state.voice.playback.generated(item_id)
                return []
            case rt.ResponseStarted(response_id=response_id):
                return self._response_started(response_id, now)
            case rt.ToolCall():
                return self._tools.called(event, now)
            case rt.ResponseDone():
                return self._response_done(event, now)
            case rt.ServerError():
                return self._watch.server_error(event, now)
            case _:
                return self._react_to_rest(event, now)

    def _react_to_rest(self, event: Event, now: float) -> list[Effect]:
        match event:
            case CallerStarted():
                return self._opening.caller_started(now)
            case ModelReady():
                return self._model_ready(now)
            case tw.Dtmf(digit=digit):
                return self._keypad.pressed(digit, now)
            case ToolFinished(call_id=call_id, output=output):
                return self._tools.finished(call_id, output, now)
            case TimePassed():
                return self._time_passed(now)
            case tw.Stop():
                self.state.caller_left = True
                return self._ending.cut_off(CallerLeft(), "caller_left")
            case CallerLegClosed(reason=reason):
                # Without a stop the call itself may live: it will ask where to go.
                return self._ending.cut_off(AssistantFailed(reason), reason)
            case ModelLegClosed(reason=reason):
                return self._model_gone(reason, now)
            case HandoverRequested(reason=reason):
                return self._ending.give_up(reason, now)
            case rt.CallerTranscriptFailed(item_id=item_id, code=code):
                return [Note("transcript_failed", {"item": item_id, "code": code})]
            case _:
                return []

    # --- the caller --------------------------------------------------------------------------

    def _caller_speaks(self, item_id: str, now: float) -> list[Effect]:
        state = self.state
        state.responses.caller_speaking = True
        state.timers.set("speech", now + state.limits.speech_s)
        state.turns.speech_started()
        state.transcript.begin("caller", item_id, state.since_start_ms(now))
        self._watch.caller_heard()
        effects: list[Effect] = [Note("caller_speaks", {"item": item_id})]
        if state.phase is not Phase.CLOSING:
            return self._interrupt(now) + effects
        if not self._ending.cancellable:
            return effects
        self._keypad.clear()
        return self._interrupt(now) + effects + self._ending.cancel(now)

    def _interrupt(self, now: float) -> list[Effect]:
        """Silence the assistant; its playback may outlast its response by many seconds."""
        state = self.state
        active = state.responses.active_id
        state.voice.mute(active)
        effects, cuts = state.voice.interrupt(now)
        if active is not None and not state.script.server_interrupts:
            effects.append(rt.CancelResponse(active))
        if not cuts:
            return effects
        state.turns.barge_in(now)
        for cut in cuts:
            if cut.item_id == GREETING_ITEM:
                effects += self._opening.interrupted(cut.heard_ms, cut.sent_ms)
            state.transcript.cut(cut.item_id, cut.heard_ms, cut.sent_ms)
        first = cuts[0]
        figures: Fields = {
            "item": first.item_id,
            "heard_ms": first.heard_ms,
            "sent_ms": first.sent_ms,
        }
        return [*effects, Note("barge_in", figures)]

    def _caller_stopped(self, audio_end_ms: int, now: float) -> list[Effect]:
        state = self.state
        state.responses.caller_speaking = False
        state.responses.awaiting_automatic = state.script.server_answers
        state.turns.speech_stopped(audio_end_ms, now)
        turn = len(state.turns.turns)
        self._watch.caller_paused()
        note = Note("caller_stopped", {"turn": turn})
        if state.phase is not Phase.TALKING:
            return [note]
        state.timers.set("answer", now + state.limits.answer_s)
        if turn > state.limits.max_turns:
            return [note, *self._ending.limit("turns", now)]
        if not state.script.server_answers:
            state.responses.owe(rt.CreateResponse())
        return [note]

    def _caller_words(self, event: rt.CallerTranscript, now: float) -> list[Effect]:
        state = self.state
        if state.transcript.has_words(event.item_id):
            return []  # the same words again
        state.usage.add_transcript(event.seconds)
        state.transcript.words("caller", event.item_id, event.text, state.since_start_ms(now))
        effects: list[Effect] = [Note("caller_said", {"item": event.item_id}, event.text)]
        finish = state.desk.caller_said(event.text)
        if finish is not None:
            effects += self._ending.words_decide(finish, now)
        return effects

    # --- the assistant -----------------------------------------------------------------------

    def _assistant_audio(self, event: rt.AudioDelta, now: float) -> list[Effect]:
        state = self.state
        if state.voice.is_muted(event.response_id):
            return []
        effects = state.voice.play(event.item_id, event.content_index, event.payload)
        if "answer" in state.timers or "stall" in state.timers:
            self._watch.assistant_heard()
        if state.turns.model_audio(event.item_id, now):
            effects.append(Note("assistant_speaks", {"item": event.item_id}))
        state.transcript.begin("assistant", event.item_id, state.since_start_ms(now))
        return effects

    def _assistant_words(self, event: rt.AssistantTranscript, now: float) -> list[Effect]:
        state, item_id, text = self.state, event.item_id, event.text
        if state.voice.is_muted(event.response_id) and not state.transcript.has(item_id):
            return []  # kept silent before anything of it was played
        state.transcript.words("assistant", item_id, text, state.since_start_ms(now))
        self._spoken += f" {text}"
        return [Note("assistant_said", {"item": item_id}, text)]

    def _next_words(self, event: rt.AssistantTranscriptDelta, now: float) -> list[Effect]:
        state = self.state
        if not state.voice.is_muted(event.response_id):
            at_ms = state.since_start_ms(now)
            state.transcript.next_words("assistant", event.item_id, event.text, at_ms)
        return []

    def _half_said(self) -> list[Effect]:
        """Sentences that broke off, told as far as they got: nothing more comes of them."""
        return [
            Note("assistant_said", {"item": one.item_id, "whole": False}, one.text or "")
            for one in self.state.transcript.break_off()
        ]

    def _mark(self, name: str, now: float) -> list[Effect]:
        reference = tw.parse_mark(name)
        if reference is None:
            return []
        if reference.kind == "terminal":
            return self._ending.mark(name)
        playback = self.state.voice.playback
        if not playback.reached(reference, now):
            return []
        effects: list[Effect] = []
        if reference.heard_ms == 0:
            turn = self.state.turns.playing(reference.item_id, now)
            effects += [] if turn is None else [_turn_note(turn)]
        if not playback.pending:
            effects.append(Note("assistant_heard", {"item": reference.item_id}))
            if self.state.responses.active_id is not None:
                self._watch.response_running(now)
            self.state.listen_for_silence(now)
        return effects

    def _response_started(self, response_id: str, now: float) -> list[Effect]:
        state = self.state
        asked = state.responses.started(response_id)
        state.timers.cancel("response_start", "caller_silence", "retry")
        self._spoken = ""
        self._tools_before = self._tools.count
        if state.phase is Phase.CLOSING:
            return self._ending.response_started(response_id, asked)
        purpose = asked.metadata.get("purpose") if asked is not None else None
        if asked is None:
            state.responses.answered_unasked()
        elif state.responses.caller_speaking or purpose == CLOSING_PURPOSE:
            # It began after the caller did, so the server will not interrupt it by itself; or it is
            # the closing line of an ending that the caller has cancelled meanwhile.
            state.voice.mute(response_id)
            return [rt.CancelResponse(response_id)]
        self._watch.response_running(now)
        return []

    def _response_done(self, event: rt.ResponseDone, now: float) -> list[Effect]:
        state = self.state
        state.usage.add(event.usage)
        state.responses.done(event.response_id)
        state.timers.cancel("stall")
        effects = self._half_said()
        for call in event.tool_calls:
            effects += self._tools.called(call, now)
        state.voice.unmute(event.response_id)
        if state.phase is Phase.CLOSING:
            return effects + self._ending.response_done(event.response_id, now)
        effects += self._watch.response_over(event, now)
        if event.status == "completed":
            effects += self._hold_to_promise(now)
        state.listen_for_silence(now)
        return effects

    def _hold_to_promise(self, now: float) -> list[Effect]:
        """The assistant said that it transfers, and called nothing: make it call the tool."""
        if self.state.phase is not Phase.TALKING or self._tools.count > self._tools_before:
            return []
        if not self.state.desk.announced_without_deciding(self._spoken):
            return []
        self._promises += 1
        if self._promises > MAX_PROMISES:
            return self._ending.limit("announced", now)
        tool = self.state.desk.deciding_tool
        self.state.responses.owe(rt.CreateResponse(tool_choice=tool))
        return [Note("empty_promise", {"count": self._promises})]

    # --- failing and waiting -----------------------------------------------------------------

    def _model_gone(self, reason: str, now: float) -> list[Effect]:
        effects = [*self._half_said(), *self._recovery.model_gone(reason, now)]
        if self._recovery.running and reason == GONE_SILENTLY:
            self._hold.model_gone(now)
        return effects

    def _model_ready(self, now: float) -> list[Effect]:
        again = self._recovery.running and self._opening.briefed
        self._recovery.succeeded()
        if not again:
            return [*self._opening.model_ready(now), *self._keypad.model_ready(now)]
        self.state.model_ready = True
        facts, said = self._opening.facts(), self._recovery.conversation_so_far(now)
        return [*facts, *said, *self._keypad.model_ready(now)]

    def _time_passed(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for name in self.state.timers.take_due(now):
            if self.state.ended:
                break
            effects += self._timer(name, now)
        return effects

    def _timer(self, name: TimerName, now: float) -> list[Effect]:
        match name:
            case "digits":
                return self._keypad.complete(now)
            case "hold":
                return self._hold.due(now)
            case "reconnect":
                return self._recovery.failed(now)
            case _:
                return self._watch.due(name, now)

    def _ask_for_owed_response(self, effects: list[Effect], now: float) -> None:
        state = self.state
        if not state.model_ready or (state.running_tools and state.phase is Phase.TALKING):
            return
        command = state.responses.due()
        if command is not None:
            effects.append(command)
            state.timers.set("response_start", now + state.limits.response_start_s)


def _turn_note(turn: Turn) -> Note:
    figures: Fields = {
        "turn": turn.index,
        "first_model_audio_ms": turn.first_model_audio_ms,
        "first_audio_out_ms": turn.first_audio_out_ms,
        "bridge_ms": turn.bridge_ms,
        "used_tool": turn.used_tool,
        "decided": turn.decided,
    }
    return Note("turn", figures)
