"""What can happen to a call. Facts, past tense; the wires' own events are among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bridge.protocol import realtime, twilio_stream


@dataclass(frozen=True, slots=True)
class CallerStarted:
    """The stream began and the call was admitted."""


@dataclass(frozen=True, slots=True)
class CallerLegClosed:
    """Twilio's socket is gone. ``reason`` is a snake_case name."""

    reason: str


@dataclass(frozen=True, slots=True)
class ModelReady:
    """A model session is configured: ``audio/pcmu`` was echoed on both sides."""


@dataclass(frozen=True, slots=True)
class ModelLegClosed:
    """The model's socket is gone, or never came. ``reason`` is a snake_case name."""

    reason: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """One of the operator's look-ups came back: ``output`` is a JSON string for the model."""

    call_id: str
    output: str


@dataclass(frozen=True, slots=True)
class HandoverRequested:
    """Somebody outside the conversation wants the call moved on: a deploy, an operator, a limit."""

    reason: str


@dataclass(frozen=True, slots=True)
class TimePassed:
    """A deadline the call had asked for came due."""


Event: TypeAlias = (
    CallerStarted
    | CallerLegClosed
    | ModelReady
    | ModelLegClosed
    | ToolFinished
    | HandoverRequested
    | TimePassed
    | twilio_stream.Mark
    | twilio_stream.Dtmf
    | twilio_stream.Stop
    | realtime.ServerEvent
)

Fields: TypeAlias = Mapping[str, str | int | float | bool | None]
