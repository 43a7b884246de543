"""What happens when nothing happens: deadlines that came due, and failures of the model."""

from __future__ import annotations

from typing import assert_never

from bridge.call.effects import Effect, Note
from bridge.call.ending import Ending
from bridge.call.state import CallState, Phase
from bridge.call.timers import TimerName
from bridge.protocol.realtime import (
    AddText,
    CancelResponse,
    CreateResponse,
    ResponseDone,
    ServerError,
    severity,
)
from dispatch.outcome import AssistantFailed

STILL_THERE = "The caller has been silent for a while. Ask briefly whether they are still there."
TOO_LOUD = (
    "The caller's line has been loud for half a minute without a pause, and nothing of it reached"
    " you. Say so in one sentence and ask for the wish in a few words."
)


class Watch:
    """Silences and failures. A first one is mended, a second one moves the call on."""

    def __init__(self, state: CallState, ending: Ending) -> None:
        self._state = state
        self._ending = ending
        self._failed = 0
        self._unanswered = 0
        self._asked_still_there = False
        self._said_too_loud = False

    def caller_heard(self) -> None:
        """The caller speaks: what was waited for is over, their turn will be answered."""
        self._asked_still_there = False
        self._state.timers.cancel("caller_silence", "answer", "retry", "stall")

    def caller_paused(self) -> None:
        """The end of their speech was heard."""
        self._said_too_loud = False
        self._state.timers.cancel("speech")

    def key_pressed(self) -> None:
        """The caller is there; whether the assistant answers is another matter."""
        self._asked_still_there = False
        self._state.timers.cancel("caller_silence")

    def assistant_heard(self) -> None:
        self._unanswered = 0
        self._state.timers.cancel("answer", "stall")

    def response_running(self, now: float) -> None:
        """A response has begun, or goes on though all of its audio was played: more must come.

        What we say ourselves meanwhile gives it no more time.
        """
        if self._state.phase is Phase.TALKING and "stall" not in self._state.timers:
            self._state.timers.set("stall", now + self._state.limits.answer_s)

    def due(self, name: TimerName, now: float) -> list[Effect]:
        """Deadline ``name`` came due. The keypad's, the hold line's and
        the recovery's own are not handled here."""
        match name:
            case "answer" | "response_start" | "stall":
                return self._no_answer(now)
            case "call":
                return self._ending.limit("longest_call", now)
            case "caller_silence":
                return self._caller_silent(now)
            case "closing":
                return self._ending.timed_out(now)
            case "decision":
                return self._ending.limit("decide", now)
            case "media":
                return self._check_media(now)
            case "model_ready":
                return self._ending.give_up("model_not_ready", now)
            case "retry":
                self._state.want_answer(now)
                return []
            case "speech":
                return self._no_pause(now)
            case "digits" | "hold" | "reconnect":
                return []
            case _:
                assert_never(name)

    def response_over(self, event: ResponseDone, now: float) -> list[Effect]:
        """A response ended. A failed one is asked for once more, then the call is routed."""
        if event.status == "completed":
            self._failed = 0
        if event.status not in ("failed", "incomplete") or self._state.phase is not Phase.TALKING:
            return []
        self._failed += 1
        why = event.error_code or event.reason or event.status
        note = Note("response_failed", {"code": why, "count": self._failed})
        if self._failed > 1:
            return [note, *self._ending.give_up(f"response_failed:{why}", now)]
        self._state.timers.cancel("answer")
        self._state.timers.set("retry", now + self._state.limits.retry_after_s)
        return [note]

    def server_error(self, event: ServerError, now: float) -> list[Effect]:
        level = severity(event)
        note = Note("server_error", {"code": event.code, "severity": level})
        busy = event.code == "conversation_already_has_active_response"
        if busy and self._state.responses.refused(event.event_id):
            self._state.timers.cancel("response_start")
            return [note, *self._ending.closing_refused()]
        if level == "fatal":  # behind the end of a session comes its close, and another is opened
            return [note, *self._ending.give_up(event.code or event.kind, now)]
        return [note]

    def _no_answer(self, now: float) -> list[Effect]:
        state = self._state
        state.timers.cancel("answer", "response_start", "stall")  # one silence counts once
        if state.responses.caller_speaking:
            return []  # counted anew from when they stop
        self._unanswered += 1
        effects: list[Effect] = [Note("no_answer", {"count": self._unanswered})]
        if state.phase is not Phase.TALKING:
            return effects
        if self._unanswered > 1:
            return [*effects, *self._ending.give_up("model_silent", now)]
        if state.responses.active_id is not None:
            state.voice.mute(state.responses.active_id)
            effects.append(CancelResponse(state.responses.active_id))
        state.responses.requested = None
        state.responses.awaiting_automatic = False
        state.want_answer(now)
        return effects

    def _caller_silent(self, now: float) -> list[Effect]:
        if self._state.phase is not Phase.TALKING:
            return []
        if self._asked_still_there:
            return self._ending.limit("silence", now)
        self._asked_still_there = True
        self._state.responses.owe(CreateResponse())
        return [AddText("system", STILL_THERE), Note("caller_silent")]

    def _no_pause(self, now: float) -> list[Effect]:
        """A television, or an end of speech that nobody told us: the model hears only what ends."""
        if self._state.phase is not Phase.TALKING:
            return []
        if self._said_too_loud:
            return self._ending.limit("decide", now)
        self._said_too_loud = True
        self._state.timers.set("speech", now + self._state.limits.speech_s)
        self._state.responses.caller_speaking = False
        self._state.want_answer(now)
        return [AddText("system", TOO_LOUD), Note("no_pause")]

    def _check_media(self, now: float) -> list[Effect]:
        due = self._state.turns.audio.last_frame_at + self._state.limits.media_stall_s
        if due <= now:
            return self._ending.cut_off(AssistantFailed("media_stalled"), "media_stalled")
        self._state.timers.set("media", due)
        return []
