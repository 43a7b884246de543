"""A call core driven by hand: a desk that decides by simple rules, and steps of a conversation."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from bridge.call.desk import Answer, Finish, Lookup, Verdict
from bridge.call.effects import Effect, EndCall, Note
from bridge.call.events import Event, TimePassed
from bridge.call.session import CallSession
from bridge.protocol import realtime as rt
from bridge.protocol import twilio_stream as tw
from dispatch.outcome import (
    DigitPressed,
    LimitKind,
    LimitReached,
    Outcome,
    Resolved,
    TriggerMatched,
)

CLOSING = "Say goodbye."


class SimpleDesk:
    """Looks up ``orders``, decides on ``route_call`` and ``goodbye``, on "fire" and on key 9."""

    deciding_tool = "route_call"

    def tool_called(self, name: str, arguments: str) -> Verdict:
        match name:
            case "route_call":
                return Finish(Resolved(arguments), '{"ok":true}', CLOSING)
            case "goodbye":
                return Finish(Resolved("Told."), "{}", "Say farewell.")
            case "orders":
                return Lookup("orders", {"id": 7})
            case _:
                return Answer('{"ok":false}')

    def caller_said(self, text: str) -> Finish | None:
        hit = "fire" in text
        return Finish(TriggerMatched("fire", "fire"), "{}", CLOSING, False) if hit else None

    def digit_pressed(self, digit: str) -> Finish | None:
        return Finish(DigitPressed(digit), "{}", CLOSING, False) if digit == "9" else None

    def announced_without_deciding(self, text: str) -> bool:
        return "connecting you" in text

    def limit_reached(self, kind: LimitKind) -> Finish:
        return Finish(LimitReached(kind), "{}", CLOSING)


def audio(ms: int) -> str:
    """Base64 mu-law of that length."""
    return base64.b64encode(b"\x55" * (ms * 8)).decode()


@dataclass
class Rehearsal:
    """A call core driven by hand: every step returns what it asks for, notes left out."""

    session: CallSession
    now: float = 100.0
    notes: list[Note] = field(default_factory=list)

    def feed(self, event: Event, after_ms: float = 0) -> list[Effect]:
        self.now += after_ms / 1000
        effects = self.session.handle(event, self.now)
        self.session.turns.written(self.now)
        self.notes += [effect for effect in effects if isinstance(effect, Note)]
        return [effect for effect in effects if not isinstance(effect, Note)]

    def delta(self, ms: int, item: str = "item_1", response: str = "resp_1") -> list[Effect]:
        return self.feed(rt.AudioDelta(response, item, 0, audio(ms)))

    def speak(self, ms: int, item: str = "item_1", response: str = "resp_1") -> list[str]:
        """The assistant says something in one delta. The names of the marks that were sent."""
        self.feed(rt.ResponseStarted(response, {}))
        return self.marks_of(self.delta(ms, item, response))

    def marks_of(self, effects: list[Effect]) -> list[str]:
        return [effect.name for effect in effects if isinstance(effect, tw.SendMark)]

    def echo(self, *names: str, after_ms: float = 0) -> list[Effect]:
        """Twilio reaches these marks."""
        self.now += after_ms / 1000
        return [effect for name in names for effect in self.feed(tw.Mark(name))]

    def done(
        self, response: str = "resp_1", status: str = "completed", code: str | None = None
    ) -> list[Effect]:
        return self.feed(rt.ResponseDone(response, status, None, code, None, None, (), {}))

    def caller_turn(self, item: str = "user_1", speech_ms: int = 1000) -> list[Effect]:
        """The caller speaks and stops; the audio clock runs along."""
        self.feed(rt.SpeechStarted(item, self.session.turns.audio.appended_ms))
        self.session.turns.audio.appended_ms += speech_ms + 500
        self.now += (speech_ms + 500) / 1000
        self.session.turns.audio.last_frame_at = self.now
        return self.feed(rt.SpeechStopped(item, self.session.turns.audio.appended_ms))

    def tool(self, name: str, call_id: str = "call_1", completed: bool = True) -> list[Effect]:
        return self.feed(rt.ToolCall("resp_1", "fc_1", call_id, name, "{}", completed))

    def wait_for_deadline(self) -> list[Effect]:
        """Let the earliest deadline come due."""
        deadline = self.session.next_deadline
        assert deadline is not None
        self.now = max(self.now, deadline)
        self.session.turns.audio.last_frame_at = self.now
        return self.feed(TimePassed())

    def noted(self, kind: str) -> list[Note]:
        return [note for note in self.notes if note.kind == kind]


def ended_with(effects: list[Effect]) -> Outcome | None:
    """The outcome of the one ``EndCall`` in ``effects``."""
    ends = [effect.outcome for effect in effects if isinstance(effect, EndCall)]
    assert len(ends) <= 1
    return ends[0] if ends else None
