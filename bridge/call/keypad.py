"""Keys the caller presses, gathered to one entry: until ``#`` or until no key follows.

Some keys decide at once; every other entry is told to the model as text.
"""

from __future__ import annotations

from bridge.call.effects import Effect, Note
from bridge.call.ending import Ending
from bridge.call.state import CallState, Phase
from bridge.call.watch import Watch
from bridge.protocol.realtime import AddText

MAX_DIGITS = 32


class Keypad:
    """The entry that is being made."""

    def __init__(self, state: CallState, ending: Ending, watch: Watch) -> None:
        self._state = state
        self._ending = ending
        self._watch = watch
        self._digits: list[str] = []
        self._entries = 0

    def pressed(self, digit: str, now: float) -> list[Effect]:
        state = self._state
        effects: list[Effect] = [Note("digit")]
        if state.phase is not Phase.TALKING:
            return effects
        self._watch.key_pressed()
        finish = state.desk.digit_pressed(digit)
        if finish is not None:
            return effects + self._ending.decide_at_once(finish, now)
        if digit != "#":
            self._digits.append(digit)
        if digit == "#" or len(self._digits) >= MAX_DIGITS:
            return effects + self.complete(now)
        state.timers.set("digits", now + state.limits.digit_gap_s)
        return effects

    def complete(self, now: float) -> list[Effect]:
        """No key follows: tell the model."""
        state = self._state
        state.timers.cancel("digits")
        if not state.model_ready:
            return []  # nobody to tell yet: they stay on the pad
        digits = "".join(self._digits)
        self._digits.clear()
        if not digits or state.phase is not Phase.TALKING:
            state.listen_for_silence(now)
            return []
        self._entries += 1
        words = f"(The caller pressed these keys on the phone: {digits})"
        state.transcript.words("caller", f"keys_{self._entries}", words, state.since_start_ms(now))
        state.want_answer(now)
        return [AddText("user", words)]

    def clear(self) -> None:
        """An entry that a decision broke off is not part of the next one."""
        self._digits.clear()

    def model_ready(self, now: float) -> list[Effect]:
        """There is a model now: tell it an entry that was complete before."""
        return [] if "digits" in self._state.timers else self.complete(now)
