"""The model's tool calls.

Each acted on once, never when interrupted, one answer after all outputs.
"""

from __future__ import annotations

from typing import assert_never

from bridge.call.desk import Answer, Finish, Lookup
from bridge.call.effects import Effect, Note, RunTool
from bridge.call.ending import Ending
from bridge.call.state import CallState, Phase
from bridge.protocol.realtime import AddToolOutput, ToolCall

ALREADY_DECIDED = '{"status":"already_decided"}'


class Tools:
    """A call is reported by several events (the item, then the whole response).

    The first counts.
    """

    def __init__(self, state: CallState, ending: Ending) -> None:
        self._state = state
        self._ending = ending
        self._seen: set[str] = set()

    @property
    def count(self) -> int:
        """How many calls were acted on."""
        return len(self._seen)

    def called(self, call: ToolCall, now: float) -> list[Effect]:
        """Arguments of a call that was interrupted may be incomplete: those are not executed.

        Nor is a call of a response that the caller has spoken over: it did not hear them out.
        """
        state = self._state
        if not call.completed or call.call_id in self._seen:
            return []
        if state.voice.is_muted(call.response_id):
            return [Note("tool_ignored", {"name": call.name})]
        self._seen.add(call.call_id)
        state.turns.tool_used()
        state.timers.cancel("answer", "stall")
        effects: list[Effect] = [Note("tool_called", {"name": call.name})]
        if state.phase is not Phase.TALKING:
            return [*effects, AddToolOutput(call.call_id, ALREADY_DECIDED)]
        verdict = state.desk.tool_called(call.name, call.arguments)
        match verdict:
            case Answer(output=output):
                self._speak_about_it(now)
                return [*effects, AddToolOutput(call.call_id, output)]
            case Lookup(name=name, arguments=arguments):
                state.running_tools.add(call.call_id)
                return [*effects, RunTool(call.call_id, name, arguments)]
            case Finish(output=output):
                told = AddToolOutput(call.call_id, output)
                return [*effects, told, *self._ending.decide(verdict, now)]
            case _:
                assert_never(verdict)

    def finished(self, call_id: str, output: str, now: float) -> list[Effect]:
        """A look-up came back."""
        if call_id not in self._state.running_tools:
            return []
        self._state.running_tools.discard(call_id)
        if self._state.phase is Phase.TALKING:
            self._speak_about_it(now)
        return [AddToolOutput(call_id, output)]

    def _speak_about_it(self, now: float) -> None:
        """One response after the last output: the sequencer holds it until nothing runs."""
        self._state.want_answer(now)
