"""How a call begins.

The greeting at once from the cache, or from the model as soon as there is one.
"""

from __future__ import annotations

from bridge.call.effects import Effect, Note
from bridge.call.state import CallState, Phase
from bridge.call.transcript import heard_words
from bridge.call.voice import GREETING_ITEM
from bridge.protocol.realtime import AddText, CreateResponse, DeleteItem


class Opening:
    """The first words.

    The model is told as text what was said from the cache, and how much of it.
    """

    def __init__(self, state: CallState) -> None:
        self._state = state
        self._heard = 1.0
        self.briefed = False
        """A session of this call was told how it began."""

    def caller_started(self, now: float) -> list[Effect]:
        state, limits = self._state, self._state.limits
        if state.phase is not Phase.NEW:
            return []
        state.phase = Phase.TALKING
        state.started_at = now
        state.turns.audio.last_frame_at = max(state.turns.audio.last_frame_at, now)
        state.timers.set("call", now + limits.max_call_s)
        state.timers.set("decision", now + limits.undecided_s)
        state.timers.set("media", now + limits.media_stall_s)
        if not state.model_ready:
            state.timers.set("model_ready", now + limits.model_ready_s)
        effects = self._play_greeting()
        return effects + self._brief_model(now) if state.model_ready else effects

    def model_ready(self, now: float) -> list[Effect]:
        """The first session of the call."""
        state = self._state
        state.model_ready = True
        state.timers.cancel("model_ready")
        if state.phase is not Phase.TALKING:
            return []
        note = Note("model_ready", {"after_ms": state.since_start_ms(now)})
        return [note, *self._brief_model(now)]

    def interrupted(self, heard_ms: int, sent_ms: int) -> list[Effect]:
        """The model was told the whole greeting as text: put right what was really heard."""
        self._heard = heard_ms / sent_ms if sent_ms else 0.0
        if not self._state.model_ready:
            return []
        effects: list[Effect] = [DeleteItem(GREETING_ITEM)]
        if heard_ms:
            said = heard_words(self._state.script.greeting, self._heard)
            effects.append(AddText("assistant", said, item_id=f"{GREETING_ITEM}_cut"))
        return effects

    def _play_greeting(self) -> list[Effect]:
        line = self._state.script.greeting_line
        if line is None:
            return []
        self._state.transcript.words("assistant", GREETING_ITEM, line.text, 0)
        effects = self._state.voice.play_line(GREETING_ITEM, line)
        return [*effects, Note("greeting", {"cached": True}, line.text)]

    def facts(self) -> list[Effect]:
        """What every session of the call is told first."""
        brief = self._state.script.brief
        return [AddText("system", brief)] if brief else []

    def _brief_model(self, now: float) -> list[Effect]:
        self.briefed = True
        script = self._state.script
        effects = self.facts()
        if script.greeting_line is not None:
            if self._heard > 0:
                said = heard_words(script.greeting_line.text, self._heard)
                effects.append(AddText("assistant", said, item_id=GREETING_ITEM))
        elif script.greeting and not self._state.responses.caller_speaking:
            say = f'Say exactly this sentence and nothing else: "{script.greeting}"'
            self._state.responses.owe(CreateResponse(instructions=say, tool_choice="none"))
        self._state.listen_for_silence(now)
        return effects
