"""What is measured of a call while it runs: turns, interruptions, how the bridge ended it."""

from __future__ import annotations

from dataclasses import dataclass

MODEL_BUDGET_MS = 800
"""``speech_stopped`` to the model's first audio."""
HEARD_BUDGET_MS = 1400
"""The caller's last speech to the first audio that goes out."""


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """One answer: as the bridge measured it, and at the caller's ear (None: not heard)."""

    number: int
    model_ms: float | None
    out_ms: float | None
    bridge_ms: float | None
    used_tool: bool
    decided: bool = False
    """The answer is the closing line: the decision was made on its way."""
    ear_ms: int | None = None

    @property
    def over_budget(self) -> bool:
        return (self.model_ms or 0) > MODEL_BUDGET_MS or (self.out_ms or 0) > HEARD_BUDGET_MS

    @property
    def on_its_way(self) -> str | None:
        """What the answer had to wait for besides the model's first words."""
        if self.used_tool:
            return "a tool call"
        return "the decision" if self.decided else None


@dataclass(frozen=True, slots=True)
class Cut:
    """The assistant silenced by the caller.

    ``silent_after_ms``: from the caller's first sound to the assistant's last, at the ear.
    """

    item: str
    heard_ms: int
    sent_ms: int
    silent_after_ms: int | None = None


@dataclass(slots=True)
class Verdicts:
    """What the bridge said of the call's end."""

    route: str | None = None
    reason: str | None = None
    ended: str | None = None
    tools: tuple[str, ...] = ()
