"""The model is lost in the middle of a call: reached once more, told what was said, and going on.

A new session knows nothing. It gets the conversation as text, as far as it was really heard, and is
asked to go on without a greeting. What it cannot be told is a last word that was never transcribed.
"""

from __future__ import annotations

from bridge.call.effects import Effect, Note, ReconnectModel
from bridge.call.ending import Ending
from bridge.call.state import CallState, Phase
from bridge.protocol.realtime import FATAL_CODES, AddText

HOPELESS = FATAL_CODES | {"fatal", "configuration_refused"}
"""Reasons for which the next session would be lost as well."""
MAX_LINES = 30
GO_ON = (
    "The line to you was interrupted for a moment; above is the conversation so far, as it was"
    " heard. Go on where it stopped. Do not greet again and do not mention the interruption."
)
LAST_WORDS_LOST = "The caller's last words were lost: ask them to say it again."


class Recovery:
    """One try to get the model back, within ``reconnect_s``; so often, and not for every reason."""

    def __init__(self, state: CallState, ending: Ending) -> None:
        self._state = state
        self._ending = ending
        self._tries = 0
        self._lost_words = False
        self._lost_at = 0.0
        self.running = False

    def model_gone(self, reason: str, now: float) -> list[Effect]:
        state = self._state
        speaking, waiting = state.responses.caller_speaking, "answer" in state.timers
        state.model_ready = False
        state.responses.lost()
        state.voice.model_lost()
        state.running_tools.clear()
        hopeless = reason in HOPELESS or self._tries >= state.limits.max_reconnects
        if state.phase is not Phase.TALKING or hopeless:
            return self._ending.give_up(reason, now)
        self._tries += 1
        self._lost_at = now
        still_lost = self.running and self._lost_words  # a second try to get the model back
        self._lost_words = still_lost or speaking or (waiting and self._last_words_missing())
        self.running = True
        state.timers.cancel(
            "answer", "response_start", "retry", "speech", "stall", "caller_silence"
        )
        state.timers.cancel("model_ready")
        state.timers.set("reconnect", now + state.limits.reconnect_s)
        return [Note("model_lost", {"reason": reason}), ReconnectModel()]

    def failed(self, now: float) -> list[Effect]:
        """It did not come back in time."""
        self.running = False
        return self._ending.give_up("model_lost", now)

    def succeeded(self) -> None:
        """There is a configured session again."""
        self.running = False
        self._state.timers.cancel("reconnect")

    def conversation_so_far(self, now: float) -> list[Effect]:
        """For the new session: what was said, and to go on."""
        state = self._state
        if state.phase is not Phase.TALKING:
            return []
        effects: list[Effect] = [
            AddText("user" if speaker == "caller" else "assistant", text)
            for speaker, text in state.transcript.lines()[-MAX_LINES:]
        ]
        lost = f" {LAST_WORDS_LOST}" if self._lost_words else ""
        effects.append(AddText("system", GO_ON + lost))
        state.want_answer(now)
        effects.append(Note("model_back", {"after_ms": round((now - self._lost_at) * 1000)}))
        return effects

    def _last_words_missing(self) -> bool:
        spoken = [one for one in self._state.transcript.utterances if one.speaker == "caller"]
        return bool(spoken) and spoken[-1].text is None
