"""Ways in which the simulated Twilio misbehaves on request, to test a bridge against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StreamFaults:
    """What is wrong with the beginning of a stream; ``starts``: how many ``start`` messages."""

    omit_connected: bool = False
    starts: int = 1
    call_sid: str | None = None
    account_sid: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


NO_FAULTS = StreamFaults()
