"""What is known of a call when it moves on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dispatch.settings import EntryKind
from dispatch.slots import SlotValue

Speaker: TypeAlias = Literal["caller", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing said: of the caller as transcribed, of the assistant as heard."""

    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True)
class CallContext:
    """One call. ``hops`` counts the handovers made before this one.

    ``parameters`` are the stream's custom parameters as they came; ``flex_*`` and ``ivr_*`` travel
    on. ``known`` holds slots captured in refused tool calls, for decisions made without the model.
    """

    call_sid: str
    account_sid: str
    tenant: str
    from_number: str
    to_number: str
    entry: EntryKind
    started_at: dt.datetime
    direction: Literal["inbound", "outbound"] = "inbound"
    studio_flow: str | None = None
    """FW sid of the flow that sent the call and waits for it."""
    language: str | None = None
    """As the menu before us said it: see ``TenantPolicy.language_for``."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, SlotValue] = field(default_factory=dict)
    turns: tuple[Turn, ...] = ()
    hops: int = 0

    def __post_init__(self) -> None:
        if self.started_at.tzinfo is None:
            raise ValueError("CallContext.started_at needs a time zone")

    @property
    def caller_number(self) -> str | None:
        """The caller's number in E.164; None where it was withheld or is no number."""
        shown = is_e164(self.from_number) and self.from_number not in WITHHELD
        return self.from_number if shown else None


WITHHELD = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})
"""What Twilio sends for anonymous, restricted, blocked, unknown and unavailable callers: the words
on a telephone's keys."""


def is_e164(number: str) -> bool:
    digits = number[1:]
    return number[:1] == "+" and digits.isascii() and digits.isdigit() and 7 <= len(digits) <= 15
