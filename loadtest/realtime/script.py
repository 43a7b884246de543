"""Where a session stands in its scenario: which step answers what just happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .scenario import Action, CallTool, Fail, Scenario, Step


@dataclass(frozen=True, slots=True)
class Greeting:
    """The client asked for a response before the caller said anything."""


@dataclass(frozen=True, slots=True)
class CallerTurn:
    number: int
    """From 1; turns that an earlier connection heard count, if the client told them as text."""


@dataclass(frozen=True, slots=True)
class TypedText:
    text: str


@dataclass(frozen=True, slots=True)
class ToolOutput:
    tool: str


@dataclass(frozen=True, slots=True)
class CallerSilent:
    """The idle timeout of the VAD."""


@dataclass(frozen=True, slots=True)
class OutOfBand:
    topic: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A response that nothing new led to."""


Trigger: TypeAlias = (
    Greeting | CallerTurn | TypedText | ToolOutput | CallerSilent | OutOfBand | Asked
)


class Script:
    """One session's way through a scenario.

    Stimuli are noted as they happen; ``trigger`` says what a response that starts now would answer.
    A response that did not complete leaves its stimulus open, so asking again gets the same answer.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.turns = 0
        self._open: Trigger | None = None
        self._begun = False
        self._served: Counter[Trigger] = Counter()
        self._owed: dict[Trigger, tuple[Action, ...]] = {}

    def transcript(self, turn: int) -> str:
        """What the caller said in this turn, from 1."""
        known = self.scenario.caller_turns
        return known[turn - 1] if turn <= len(known) else f"Caller turn {turn}."

    def note_turn(self) -> int:
        """The caller finished a turn; returns its number."""
        self._begun = True
        self.turns += 1
        self._open = CallerTurn(self.turns)
        return self.turns

    def note_user_text(self, text: str) -> None:
        """Typed text, unless it is a turn of an earlier connection told again."""
        number = self._turn_of(text)
        if number is None:
            self._open = TypedText(text)
        else:
            self.turns = max(self.turns, number)
            self._open = CallerTurn(number)

    def note_system_text(self, text: str) -> None:
        """A message of the client's to the model; it counts only where the script waits for it."""
        trigger = TypedText(text)
        if any(_matches(step, trigger) for step in self.scenario.steps):
            self._open = trigger

    def note_assistant_text(self) -> None:
        """The client told what was already said: nothing is open, and no greeting is due."""
        self._begun = True
        self._open = None

    def note_tool_output(self, tool: str) -> None:
        self._open = ToolOutput(tool)

    def note_silence(self) -> None:
        self._open = CallerSilent()

    def trigger(self) -> Trigger:
        if self._open is not None:
            return self._open
        return Asked() if self._begun else Greeting()

    def actions(self, trigger: Trigger) -> tuple[Action, ...]:
        """What answers this trigger; later occurrences move on through the matching steps."""
        self._begun = True
        if trigger in self._owed:
            return self._owed[trigger]
        steps = [step for step in self.scenario.steps if _matches(step, trigger)]
        if not steps:
            steps = [step for step in self.scenario.steps if step.on == "otherwise"]
        if not steps or (isinstance(trigger, OutOfBand) and steps[0].on == "otherwise"):
            return ()
        chosen = steps[min(self._served[trigger], len(steps) - 1)]
        self._served[trigger] += 1
        return chosen.do

    def completed(self, trigger: Trigger) -> None:
        self._owed.pop(trigger, None)
        if self._open == trigger:
            self._open = None

    def not_completed(self, trigger: Trigger, actions: tuple[Action, ...]) -> None:
        """These actions are still owed: asked again, without the failure that was scripted."""
        failed = next((n for n, action in enumerate(actions) if isinstance(action, Fail)), None)
        if failed is not None and actions[failed + 1 :]:
            actions = actions[failed + 1 :]
        self._owed[trigger] = actions
        if self._open is None:
            self._open = trigger

    def fill(self, call: CallTool) -> Mapping[str, Any]:
        """A call's arguments with the caller's data in place."""
        slots = self.scenario.slots
        return {key: _fill(value, slots) for key, value in call.arguments.items()}

    def _turn_of(self, text: str) -> int | None:
        for number in range(1, max(len(self.scenario.caller_turns), self.turns + 8) + 1):
            if self.transcript(number).strip() == text.strip():
                return number
        return None


def _matches(step: Step, trigger: Trigger) -> bool:
    match trigger:
        case Greeting():
            return step.on == "greeting"
        case CallerTurn(number):
            return step.on == "turn" and step.turn in (None, number)
        case TypedText(text):
            wanted = (step.contains or "").casefold()
            return step.on == "text" and wanted in text.casefold()
        case ToolOutput(tool):
            return step.on == "tool_output" and step.tool in (None, tool)
        case CallerSilent():
            return step.on == "timeout"
        case OutOfBand(topic):
            return step.on == "out_of_band" and step.topic in (None, topic)
        case Asked():
            return False


def _fill(value: object, slots: Mapping[str, str]) -> object:
    if isinstance(value, str):
        for name, text in slots.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, Mapping):
        return {key: _fill(entry, slots) for key, entry in value.items()}
    if isinstance(value, list):
        return [_fill(entry, slots) for entry in value]
    return value
