"""How a conversation ended: the closed set of reasons for which a call moves on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dispatch.slots import SlotValue

Sentiment: TypeAlias = Literal["positive", "neutral", "negative"]
Urgency: TypeAlias = Literal["low", "normal", "high", "emergency"]
LimitKind: TypeAlias = Literal[
    "decide", "longest_call", "silence", "turns", "announced", "shutdown"
]


@dataclass(frozen=True, slots=True)
class RouteRequested:
    """The model decided. Checked: every slot has its kind; ``missing`` names what is not known."""

    intent: str
    summary: str
    confidence: float
    sentiment: Sentiment = "neutral"
    language: str | None = None
    urgency: Urgency = "normal"
    slots: Mapping[str, SlotValue] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EscalationRequested:
    """The model asks for a person."""

    reason: str
    urgency: Urgency = "normal"


@dataclass(frozen=True, slots=True)
class Resolved:
    """Answered on the line. ``intent`` is what it was about, where the model said so."""

    resolution: str
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class TriggerMatched:
    """The caller said a trigger phrase; the model was not asked."""

    intent: str
    phrase: str


@dataclass(frozen=True, slots=True)
class DigitPressed:
    digit: str


@dataclass(frozen=True, slots=True)
class PersonRequested:
    """The caller asked for a person as often as the limits grant."""


@dataclass(frozen=True, slots=True)
class LimitReached:
    """The watchdog: no decision in time, turns, silence; a transfer announced but not made."""

    kind: LimitKind


@dataclass(frozen=True, slots=True)
class AssistantFailed:
    """The model's side died or never worked. ``reason`` is snake_case and safe to log."""

    reason: str


@dataclass(frozen=True, slots=True)
class CallerLeft:
    """Hung up before anything was decided."""


Outcome: TypeAlias = (
    RouteRequested
    | EscalationRequested
    | Resolved
    | TriggerMatched
    | DigitPressed
    | PersonRequested
    | LimitReached
    | AssistantFailed
    | CallerLeft
)
