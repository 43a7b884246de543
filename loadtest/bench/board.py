"""What the rig's two sides know of each other: the calls by number, and the gauges they fill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from loadtest.bench.gauges import Gauges
from loadtest.bench.playout import NEVER_NS
from loadtest.bench.sequence import Sequence
from loadtest.bench.turns import TurnPlan


class CallState:
    """One call as both sides see it. Numbers are never used twice in the life of a rig."""

    __slots__ = (
        "barge_sent_ns",
        "deltas_sent",
        "downlink",
        "ended_early",
        "frames_sent",
        "number",
        "take_turn",
        "turn_due_ns",
        "uplink",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.frames_sent = 0
        self.uplink = Sequence()
        self.deltas_sent = 0
        self.downlink = Sequence()
        self.barge_sent_ns = 0
        """When the model said that the caller barged in; 0 once ``clear`` has come."""
        self.turn_due_ns = NEVER_NS
        """When the model has something to do; never while no session has had this call's audio."""
        self.take_turn: Callable[[int], None] = _nothing
        self.ended_early = False
        """Whether the bridge closed the caller's socket."""

    @property
    def talking(self) -> bool:
        """Whether a model session hears this call."""
        return self.turn_due_ns != NEVER_NS


def _nothing(_: int) -> None:
    """No model session yet."""


@dataclass(slots=True)
class Board:
    plan: TurnPlan
    timed_every: int = 8
    """Every n-th call's frames are timed; faults are found on every call."""
    gauges: Gauges = field(default_factory=Gauges)
    calls: dict[int, CallState] = field(default_factory=dict)
