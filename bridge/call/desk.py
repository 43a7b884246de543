"""What the conversation asks of triage: is this a decision, an answer, or a look-up?

The session knows how a call is held; what may be decided in it is the desk's. Both are pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from dispatch.outcome import LimitKind, Outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """Give the model this tool output (a JSON string) and let it speak."""

    output: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """Run one of the operator's HTTP look-ups; the model waits for its result."""

    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Finish:
    """The call is decided. ``closing`` tells the model what to say last; "" says nothing.

    ``cancellable``: the caller may still speak up during the closing line and go on talking.
    """

    outcome: Outcome
    output: str = "{}"
    closing: str = ""
    cancellable: bool = True


Verdict: TypeAlias = Answer | Lookup | Finish


class Desk(Protocol):
    """One call's triage. Implementations keep their own state and never raise on bad input."""

    def tool_called(self, name: str, arguments: str) -> Verdict:
        """The model called a tool with these raw arguments."""
        ...

    def caller_said(self, text: str) -> Finish | None:
        """The caller's words arrived; some of them decide at once."""
        ...

    def digit_pressed(self, digit: str) -> Finish | None:
        """A key was pressed; some of them decide at once."""
        ...

    def announced_without_deciding(self, text: str) -> bool:
        """Whether the assistant promised a transfer in ``text``, which no tool call backed."""
        ...

    def limit_reached(self, kind: LimitKind) -> Finish:
        """Time, turns or silence ran out."""
        ...

    @property
    def deciding_tool(self) -> str:
        """The tool that decides, to force it when the assistant forgets it."""
        ...
