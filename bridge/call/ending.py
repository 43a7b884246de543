"""How a call ends: decided, the closing line heard to its end, and then exactly one ``EndCall``."""

from __future__ import annotations

from dataclasses import replace

from bridge.call.desk import Finish
from bridge.call.effects import Effect, EndCall, Note
from bridge.call.state import CallState, Phase
from bridge.call.voice import LINE_ITEM, CachedLine
from bridge.protocol.realtime import AddText, CancelResponse, CreateResponse
from bridge.protocol.twilio_stream import SendMark, mark_name
from dispatch.outcome import (
    AssistantFailed,
    EscalationRequested,
    LimitKind,
    LimitReached,
    Outcome,
    Resolved,
    RouteRequested,
    TriggerMatched,
)

CLOSING_PURPOSE = "closing"
END_ITEM = f"{LINE_ITEM}_end"
ENDING_CANCELLED = (
    "The caller spoke before the call was moved on. Nothing has been transferred. Listen to them, "
    "answer, and call the tool again when it is clear what they want."
)


class Ending:
    """Everything between a decision and the end of the stream."""

    def __init__(self, state: CallState) -> None:
        self._state = state
        self._finish: Finish | None = None
        self._closing_response: str | None = None
        self._end_mark: str | None = None
        self._end_marks = 0
        self._closing_by = 0.0
        self._sent_before = 0
        self._cancelled = 0

    def decide(self, finish: Finish, now: float) -> list[Effect]:
        """The call is decided: let the closing line be said, then end."""
        state = self._state
        if state.phase is not Phase.TALKING:
            return []
        state.phase = Phase.CLOSING
        state.turns.decided()
        self._finish = finish
        waited_for = state.timers.at("hold") if "hold" in state.timers else None
        state.timers.cancel(
            "answer",
            "caller_silence",
            "decision",
            "digits",
            "hold",
            "model_ready",
            "reconnect",
            "retry",
            "speech",
            "stall",
        )
        state.responses.forget()
        decided: list[Effect] = [Note("decided", {"outcome": type(finish.outcome).__name__})]
        if not finish.closing:
            return decided + self._spoken(now)
        if not state.model_ready:
            return decided + self._say_ourselves(now)
        state.responses.owe(
            CreateResponse(
                instructions=finish.closing,
                tool_choice="none",
                metadata={"purpose": CLOSING_PURPOSE},
            )
        )
        self._closing_by = state.spoken_by(now) + state.limits.closing_length_s
        begun_by = state.spoken_by(now) + state.limits.closing_start_s
        if waited_for is not None and self._own_line() is not None:
            begun_by = min(begun_by, waited_for)  # the caller has been waiting for this answer
        state.timers.set("closing", begun_by)
        return decided

    def decide_at_once(self, finish: Finish, now: float) -> list[Effect]:
        """A decision that waits for nobody: cut what the assistant is saying."""
        state = self._state
        effects = self._cut_short(now)
        state.responses.caller_speaking = False
        state.responses.awaiting_automatic = False
        return [*effects, *self._silence_model(), *self.decide(finish, now)]

    def words_decide(self, finish: Finish, now: float) -> list[Effect]:
        """The caller's own words, also where the model was faster than their transcript."""
        if self._state.phase is Phase.CLOSING and self._overruled_by(finish.outcome):
            self._end_mark = self._closing_response = None
            self._state.phase = Phase.TALKING
        if self._state.phase is not Phase.TALKING:
            return []
        return self.decide_at_once(finish, now)

    def _overruled_by(self, words: Outcome) -> bool:
        """Never another word or key of the caller's own, nor what leads to the same place."""
        match self._finish.outcome if self._finish else None:
            case Resolved():
                return True
            case RouteRequested(intent=intent):
                return isinstance(words, TriggerMatched) and words.intent != intent
            case EscalationRequested(urgency=urgency):
                return isinstance(words, TriggerMatched) and urgency != "emergency"
            case LimitReached() | AssistantFailed():
                return isinstance(words, TriggerMatched)
            case _:
                return False

    def limit(self, kind: LimitKind, now: float) -> list[Effect]:
        if self._state.phase is not Phase.TALKING:
            return []
        finish = self._state.desk.limit_reached(kind)
        return [Note("limit", {"kind": kind}), *self.decide(finish, now)]

    def give_up(self, reason: str, now: float) -> list[Effect]:
        """The assistant cannot go on: a cached apology if there is one, then the fallback route."""
        state = self._state
        note = Note("gave_up", {"reason": reason})
        if state.phase is Phase.CLOSING and self._finish is not None:
            # Decided already; only its line is lost. Nobody would be there to talk on with.
            self._finish = replace(self._finish, cancellable=False)
            return [note, *self._say_ourselves(now)]
        outcome = AssistantFailed(reason)
        line = state.script.apology_line
        if line is None or state.phase is Phase.NEW:
            return [note, *self.end(outcome, reason)]
        effects = [*self._cut_short(now), *self._silence_model()]
        state.transcript.words("assistant", LINE_ITEM, line.text, state.since_start_ms(now))
        effects += state.voice.play_line(LINE_ITEM, line)
        finish = Finish(outcome, cancellable=False)
        return [*effects, note, *self.decide(finish, now)]

    def cut_off(self, outcome: Outcome, reason: str) -> list[Effect]:
        """The stream is over. What was decided by then stands, and all that follows from it."""
        return self.end(self._finish.outcome if self._finish else outcome, reason)

    def end(self, outcome: Outcome, reason: str) -> list[Effect]:
        """Now, whatever is still to be heard."""
        self._state.phase = Phase.ENDED
        self._state.timers.clear()
        return [Note("ended", {"reason": reason}), EndCall(outcome)]

    # --- while the closing line is said --------------------------------------------------------

    def response_started(self, response_id: str, asked: CreateResponse | None) -> list[Effect]:
        """A response while the call is ending: the closing line, or one nobody wants any more."""
        if self._is_closing_line(asked) and self._end_mark is None:
            self._sent_before = self._state.voice.sent_bytes
            self._closing_response = response_id
            return []
        self._state.voice.mute(response_id)
        return [CancelResponse(response_id)]

    def _is_closing_line(self, asked: CreateResponse | None) -> bool:
        """Of this decision, and not of one that was overruled before the line began."""
        if asked is None or asked.metadata.get("purpose") != CLOSING_PURPOSE:
            return False
        return self._finish is not None and asked.instructions == self._finish.closing

    def closing_refused(self) -> list[Effect]:
        """What was taken for the closing line was an answer of the server's own: not wanted."""
        if self._closing_response is None:
            return []
        self._closing_response = None
        return self._silence_model()

    def response_done(self, response_id: str, now: float) -> list[Effect]:
        if response_id != self._closing_response:
            return []
        return self._spoken(now) if self._closing_heard() else self._say_ourselves(now)

    def mark(self, name: str) -> list[Effect]:
        """The terminal mark came back: all of the closing line was heard."""
        if self._end_mark is None or name != self._end_mark or self._finish is None:
            return []
        return self.end(self._finish.outcome, "closing_heard")

    def timed_out(self, now: float) -> list[Effect]:
        """The closing line was to have begun, or gone on, or been heard by now."""
        state = self._state
        if self._finish is None:
            return []
        if self._end_mark is None and self._closing_heard() and now < self._closing_by:
            silent_by = state.spoken_by(now) + state.limits.closing_start_s
            if state.voice.playback.pending:
                state.timers.set("closing", min(silent_by, self._closing_by))
                return []
        unsaid = self._end_mark is None and not self._closing_heard()
        if unsaid and self._own_line() is not None:
            return self._say_ourselves(now)
        return self.end(self._finish.outcome, "closing_timeout")

    @property
    def cancellable(self) -> bool:
        return (
            self._finish is not None
            and self._finish.cancellable
            and self._cancelled < self._state.limits.max_cancelled_endings
        )

    def cancel(self, now: float) -> list[Effect]:
        """The caller speaks again: the conversation goes on, nothing has been moved."""
        state = self._state
        self._cancelled += 1
        self._finish = self._end_mark = self._closing_response = None
        state.phase = Phase.TALKING
        state.responses.forget()
        state.timers.cancel("closing")
        state.timers.set("decision", now + state.limits.undecided_s)
        return [AddText("system", ENDING_CANCELLED), Note("ending_cancelled")]

    def _say_ourselves(self, now: float) -> list[Effect]:
        """The model cannot say the closing line, or does not: the cached one, if there is one."""
        state, line = self._state, self._own_line()
        effects: list[Effect] = []
        if line is not None and self._end_mark is None and not self._closing_heard():
            effects += self._silence_model()
            state.transcript.words("assistant", END_ITEM, line.text, state.since_start_ms(now))
            effects += state.voice.play_line(END_ITEM, line)
        state.responses.forget()
        return [*effects, *self._spoken(now)]

    def _own_line(self) -> CachedLine | None:
        resolved = self._finish is not None and isinstance(self._finish.outcome, Resolved)
        script = self._state.script
        return script.goodbye_line if resolved else script.closing_line

    def _closing_heard(self) -> bool:
        """Whether the model has begun to say it."""
        begun = self._closing_response is not None
        return begun and self._state.voice.sent_bytes > self._sent_before

    def _spoken(self, now: float) -> list[Effect]:
        """All of the closing line was sent: end when its last audio was heard, or soon after."""
        state = self._state
        self._end_marks += 1
        self._end_mark = mark_name(self._end_marks, "end", 0, "terminal")
        state.timers.set("closing", state.spoken_by(now) + state.limits.closing_margin_s)
        return [SendMark(self._end_mark)]

    def _cut_short(self, now: float) -> list[Effect]:
        effects, cuts = self._state.voice.interrupt(now)
        for cut in cuts:
            self._state.transcript.cut(cut.item_id, cut.heard_ms, cut.sent_ms)
        return effects

    def _silence_model(self) -> list[Effect]:
        active = self._state.responses.active_id
        self._state.voice.mute(active)
        return [] if active is None else [CancelResponse(active)]
