"""What one simulated call does: who calls, what the caller says and does, who answers behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from loadtest.twilio.audio import SILENCE, Clip, Frame
from loadtest.twilio.people import Agent, Callee


@dataclass(frozen=True, slots=True)
class Speak:
    """Say a clip, from the next frame on, whether or not the assistant is talking."""

    clip: Clip


@dataclass(frozen=True, slots=True)
class WaitMs:
    """Let time go by."""

    ms: int


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Wait until something has happened elsewhere. Gives up after ``max_ms``."""

    happened: asyncio.Event
    max_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class WaitUntilAssistantSilent:
    """Hear the assistant out: it has spoken since the caller's last words, then nothing for
    ``after_ms``. Gives up after ``max_ms``."""

    after_ms: int = 600
    max_ms: int = 20_000


@dataclass(frozen=True, slots=True)
class InterruptAfterMs:
    """Wait until the assistant has been heard for ``ms`` without pause; what is said next talks
    over it. Gives up after ``max_ms``."""

    ms: int
    max_ms: int = 20_000


@dataclass(frozen=True, slots=True)
class WaitForStream:
    """Wait until a media stream is open. Gives up after ``max_ms``."""

    max_ms: int = 10_000


@dataclass(frozen=True, slots=True)
class Press:
    """Press keys, 100 ms apart."""

    digits: str


@dataclass(frozen=True, slots=True)
class SendRaw:
    """Send anything on the media socket: a text message, or a binary one for bytes."""

    message: str | bytes


@dataclass(frozen=True, slots=True)
class HangUp:
    """The caller leaves."""


@dataclass(frozen=True, slots=True)
class StayOnLine:
    """Say nothing until the call ends, and hang up after ``max_ms``."""

    max_ms: int = 60_000


Step: TypeAlias = (
    Speak
    | WaitMs
    | WaitFor
    | WaitUntilAssistantSilent
    | InterruptAfterMs
    | WaitForStream
    | Press
    | SendRaw
    | HangUp
    | StayOnLine
)


@dataclass(frozen=True, slots=True)
class CallScript:
    """One call. When ``steps`` are over the caller stays on the line; ``max_call_ms`` ends it all.

    ``twiml``: run this document instead of asking the voice webhook. ``params`` are added to every
    webhook, as a Studio widget or another number's configuration would. ``background`` is what is
    on the line while nobody speaks, frame after frame. ``after_studio``: documents that the Studio
    flow runs when it gets the call, one each time; after the last the call is over there.
    """

    steps: Sequence[Step] = ()
    from_number: str = "+14155550142"
    to_number: str = "+14155550100"
    max_call_ms: int = 120_000
    twiml: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    agent: Agent = field(default_factory=Agent)
    callees: Mapping[str, Callee] = field(default_factory=dict)
    background: Sequence[Frame] = (SILENCE,)
    after_studio: Sequence[str] = ()
    record: bool = True
