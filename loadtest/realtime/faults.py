"""What a session does wrong on purpose, planned ahead; ``SessionControls`` does it at run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Cut: TypeAlias = Literal["1001", "1011", "reset", "half_open"]
"""How a connection ends: a close code, a TCP reset, or silence with the socket left open."""


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Faults of one session. Responses and caller turns are counted from 1."""

    refuse_key: bool = False
    """Answer the connection with an error about its key and close it."""
    create_delay_ms: int = 0
    """Before ``session.created``, on top of the profile."""
    configure_delay_ms: int = 0
    """Before ``session.updated``, on top of the profile."""
    refuse_configuration: bool = False
    """Answer every ``session.update`` with an error; the session stays at PCM."""
    fail_responses: Mapping[int, str] = field(default_factory=dict)
    """Response number -> error code, such as inference_rate_limit_exceeded or server_error."""
    stall_responses: Mapping[int, int] = field(default_factory=dict)
    """Response number -> milliseconds of audio after which nothing more comes."""
    drop_responses: Mapping[int, Cut] = field(default_factory=dict)
    """Response number -> how the connection ends after the first second of its audio."""
    transcript_delay_ms: int = 0
    """On top of the profile."""
    failed_transcripts: frozenset[int] = frozenset()
    """Caller turns whose transcription fails."""
    duplicate_transcripts: bool = False
    """Every finished transcript comes twice."""
    unknown_events: bool = False
    """An event type that no client can know goes before each response."""
    garbage: bool = False
    """A text frame that is not JSON and a binary frame go before each response."""


NO_FAULTS = FaultPlan()

_FAILURES: Mapping[str, tuple[str, str]] = {
    "inference_rate_limit_exceeded": (
        "rate_limit_exceeded",
        "Rate limit reached: too many tokens. Please try again later.",
    ),
    "server_error": (
        "server_error",
        "The server had an error while processing your request. Sorry about that!",
    ),
}


def failure_to_wire(code: str) -> dict[str, str]:
    """The ``error`` in ``status_details`` of a failed response."""
    kind, message = _FAILURES.get(code, ("server_error", f"The response failed: {code}."))
    return {"type": kind, "code": code, "message": message}
