"""What the simulated assistant says and does: steps of a trigger and the actions that answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from .faults import NO_FAULTS, Cut, FaultPlan

On: TypeAlias = Literal[
    "greeting", "turn", "text", "tool_output", "timeout", "out_of_band", "otherwise"
]


class ScenarioError(ValueError):
    """A scenario cannot be used; the message says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Say:
    """One spoken item: ``lines`` one after the other. ``stall_at_ms`` (of audio) pauses the
    delivery for ``stall_for_ms``, or for good; ``drop`` ends the connection at ``drop_at_ms``."""

    lines: tuple[str, ...]
    stall_at_ms: int | None = None
    stall_for_ms: int | None = None
    drop: Cut | None = None
    drop_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class SayAny:
    """One spoken item, one of ``lines`` drawn by the session's seed."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """One written item (``output_text``)."""

    text: str


@dataclass(frozen=True, slots=True)
class CallTool:
    """One function call. ``{name}`` in an argument's text is replaced from the scenario's slots."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fail:
    """The response ends ``failed`` with this code; what follows in ``do`` answers the retry."""

    code: str


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The response ends ``incomplete`` for this reason after what came before."""

    reason: Literal["max_output_tokens", "content_filter"]


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection ends here."""

    cut: Cut


Action: TypeAlias = Say | SayAny | Text | CallTool | Fail | Incomplete | Drop


@dataclass(frozen=True, slots=True)
class Step:
    """``on`` is a trigger, narrowed by: ``turn`` (n-th caller turn, from 1), ``contains`` (in the
    text of a user or system message, case does not matter), ``tool`` (whose output came),
    ``topic`` (in the response's metadata)."""

    on: On
    do: tuple[Action, ...]
    turn: int | None = None
    contains: str | None = None
    tool: str | None = None
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """``caller_turns`` are the transcripts of what the caller will say, turn by turn."""

    name: str
    steps: tuple[Step, ...]
    description: str = ""
    caller_turns: tuple[str, ...] = ()
    slots: Mapping[str, str] = field(default_factory=dict)
    """Data of the caller, for the arguments of tool calls."""
    faults: FaultPlan = NO_FAULTS

    def for_caller(self, turns: tuple[str, ...], slots: Mapping[str, str]) -> Scenario:
        """The same script with another caller's words and data."""
        return replace(self, caller_turns=turns, slots={**self.slots, **slots})

    @property
    def lines(self) -> frozenset[str]:
        """Every line that may be spoken."""
        actions = [action for step in self.steps for action in step.do]
        return frozenset(
            line for action in actions if isinstance(action, (Say, SayAny)) for line in action.lines
        )

    def tool_call(self, tool: str | None) -> CallTool | None:
        """The first call of this tool (of any, for None) that the script makes anywhere."""
        for step in self.steps:
            for action in step.do:
                if isinstance(action, CallTool) and tool in (None, action.tool):
                    return action
        return None
