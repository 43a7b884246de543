"""What callers want, and where each wish goes: routes by name, with what to try when they fail."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from dispatch.routes import MAX_PRIORITY, Name, Strict
from dispatch.slots import Slot

UNKNOWN_INTENT = "unknown"
"""The intent of a call that nobody understood; not a name an intent may have."""

Digit = Annotated[str, StringConstraints(pattern=r"^[0-9*#]$")]
Trigger = Annotated[str, StringConstraints(min_length=2, max_length=80)]


class Destination(Strict):
    """A route by name, and what to try when it fails, in this order."""

    route: Name
    on_failure: tuple[Name, ...] = ()
    priority: int | None = Field(
        default=None, ge=0, le=MAX_PRIORITY, description="Default: the route's."
    )


class Intent(Destination):
    """Something callers want."""

    name: Name
    description: str = Field(min_length=1, max_length=500)
    examples: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] = ()
    slots: tuple[Slot, ...] = ()
    triggers: tuple[Trigger, ...] = Field(default=(), description="Phrases that decide at once.")
    digit: Digit | None = Field(default=None, description="Key that decides at once.")
    threshold: float = Field(
        default=0.6, ge=0, le=1, description="Confidence below which we ask again."
    )
    emergency: bool = Field(default=False, description="Takes escalations of urgency 'emergency'.")

    @model_validator(mode="after")
    def _names_are_free(self) -> Intent:
        if self.name == UNKNOWN_INTENT:
            raise ValueError(f"{UNKNOWN_INTENT!r} is kept for calls without an intent")
        names = [slot.name for slot in self.slots]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"'slots' defines {name!r} twice")
        return self


class PersonDestination(Destination):
    """Where a wish for a person goes, and a call beyond the file's ``limits.hops``."""

    intent: Name = Field(default="human", description="Stated as the intent of such calls.")
    digit: Digit | None = Field(default="0", description="Key that asks for a person.")


class DefaultDestination(Destination):
    """Where a call goes that never came to a decision."""
