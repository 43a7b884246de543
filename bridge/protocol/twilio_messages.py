"""Twilio Media Streams: the messages of a bidirectional ``<Connect><Stream>``, both directions.

Source: Twilio's documentation, Media Streams websocket messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

MAX_MESSAGE_BYTES = 64 * 1024
FRAME_BYTES = 160
FRAME_MS = 20
BYTES_PER_MS = 8


# --- what Twilio tells us -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connected:
    """The first message of a socket."""

    protocol: str
    version: str


@dataclass(frozen=True, slots=True)
class Start:
    """The stream began. ``parameters`` are the ``<Parameter>`` values, all strings."""

    stream_sid: str
    account_sid: str
    call_sid: str
    tracks: tuple[str, ...]
    encoding: str
    sample_rate_hz: int
    channels: int
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Media:
    """One frame of caller audio, base64 mu-law as it came. Off the hot path only."""

    payload: str
    timestamp_ms: int
    chunk: int


@dataclass(frozen=True, slots=True)
class Dtmf:
    """The caller pressed a key: 0-9, ``*``, ``#`` or A-D."""

    digit: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything sent before the mark of this name was played, or a clear threw it away."""

    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The stream or the call ended; Twilio gives no reason."""

    call_sid: str


@dataclass(frozen=True, slots=True)
class Unhandled:
    """An event we do not use. Counted, never an error."""

    kind: str


Message: TypeAlias = Connected | Start | Media | Dtmf | Mark | Stop | Unhandled


# --- what we ask of Twilio ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """Play base64 mu-law, 8 kHz mono, behind what is already queued."""

    payload: str


@dataclass(frozen=True, slots=True)
class SendMark:
    """Ask for an echo of ``name`` when all audio before it was played."""

    name: str


@dataclass(frozen=True, slots=True)
class ClearPlayback:
    """Throw away what is queued. Twilio then echoes every pending mark, though never heard."""


Intent: TypeAlias = PlayAudio | SendMark | ClearPlayback
