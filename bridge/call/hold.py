"""Nobody is left in silence that we caused: a cached line while the caller waits for an answer."""

from __future__ import annotations

from bridge.call.effects import Effect, Note
from bridge.call.state import CallState, Phase
from bridge.call.timers import TimerName
from bridge.call.voice import LINE_ITEM

_WAITING: frozenset[TimerName] = frozenset(
    {"answer", "model_ready", "reconnect", "response_start", "retry", "stall"}
)


class Hold:
    """Watches look-ups and others' deadlines: while one runs and nothing is heard, it speaks."""

    def __init__(self, state: CallState) -> None:
        self._state = state
        self._said = 0

    def watch(self, now: float) -> None:
        """After every event: the caller is waiting, or not any more."""
        state = self._state
        listening = state.phase is Phase.TALKING and not state.responses.caller_speaking
        waiting = listening and (state.running_tools or state.timers.any_of(_WAITING))
        if state.script.hold_line is None or not waiting:
            state.timers.cancel("hold")
        elif "hold" not in state.timers:
            state.timers.set("hold", state.spoken_by(now) + state.limits.hold_after_s)

    def model_gone(self, now: float) -> None:
        """Without a word, and nobody knows for how long: somebody may have waited for it."""
        state = self._state
        if state.script.hold_line is not None:
            state.timers.set("hold", state.spoken_by(now) + state.limits.hold_when_gone_s)

    def due(self, now: float) -> list[Effect]:
        """The caller has heard nothing for too long."""
        state, line = self._state, self._state.script.hold_line
        if line is None or state.phase is not Phase.TALKING:
            return []
        if state.voice.playback.pending:
            return []  # something is heard after all; the watch begins anew behind it
        self._said += 1
        item_id = f"{LINE_ITEM}_{self._said}"
        state.transcript.words("assistant", item_id, line.text, state.since_start_ms(now))
        return [*state.voice.play_line(item_id, line), Note("held", {"count": self._said})]
