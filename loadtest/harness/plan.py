"""What to run, as it was asked for. Frozen; made once from the command line or by a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from loadtest.harness.arrivals import Arrival
from loadtest.harness.callers import Callers
from loadtest.harness.compat import Compatibility
from loadtest.harness.degrade import Degradation
from loadtest.harness.gates import Gate
from loadtest.harness.names import COUNTS, FIGURES
from loadtest.harness.target import Target, Way
from loadtest.scenarios import LineConditions
from loadtest.scenarios.line import PERFECT

MOST_CALLS = 200_000
"""Of one run, whatever its time."""
REALTIME_PORT = 9400
TO_MODEL = frozenset({
    "uplink", "held_frames", "lost_frames", "late_frames", "duplicate_frames", "reordered_frames",
    "crossed_frames",
})  # fmt: skip
"""What only shows where the model is ours, and the bridge hands the caller's mu-law on as it is."""
TO_CALLER = frozenset({
    "downlink", "crossed_frames", "lost_audio_ms", "duplicate_audio_ms", "reordered_audio_ms",
    "clipped_starts", "clipped_ends",
})  # fmt: skip
"""Likewise of the model's mu-law."""
AT_MODEL = TO_MODEL | TO_CALLER | {"first_model_audio"}
"""What only shows where the model is ours."""
UNHARMED = Degradation()
BY_WEBHOOK = frozenset({"setup", "handover", "misrouted", "not_routed"})

Realtime: TypeAlias = Literal["simulated", "openai", "none"]


@dataclass(frozen=True, slots=True)
class OwnBridge:
    """Our own bridge as a subprocess. ``environ`` is added to what it needs."""

    way: Way = "voice"
    workers: int = 1
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    log: Path | None = None
    """Where its log is kept; thrown away otherwise."""
    port: int = 0
    """0: any that is free."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose calls these are: what the bridge checks signatures with."""

    sid: str = "AC" + "0" * 32
    auth_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Either ``target`` or ``own_bridge``. ``calls`` are up at once, at most."""

    callers: Callers
    target: Target | None = None
    own_bridge: OwnBridge | None = None
    calls: int = 10
    rate_per_s: float = 10.0
    for_s: float = 60.0
    arrival: Arrival = "ramp"
    most_calls: int = MOST_CALLS
    seed: int = 1
    realtime: Realtime = "simulated"
    realtime_port: int = REALTIME_PORT
    profile: str = "typical"
    line: LineConditions = PERFECT
    degradation: Degradation = UNHARMED
    gates: tuple[Gate, ...] = ()
    account: Account = Account()
    compat: Compatibility = field(default_factory=Compatibility)
    allowed_origins: frozenset[str] = frozenset()
    pid: int | None = None
    settle_s: float = 0.0
    """Between the start of the simulated model and the first call."""
    step_s: float = 1.0
    """Length of a step of the series."""
    late_p99_ms: float | None = None
    """A generator that is later makes the run not valid; None: as the engine has it."""

    def __post_init__(self) -> None:
        if (self.target is None) == (self.own_bridge is None):
            raise ValueError("expected either a target or a bridge of our own")

    @property
    def way(self) -> Way:
        if self.own_bridge is not None:
            return self.own_bridge.way
        return "voice" if self.target is None else self.target.way

    @property
    def measurable(self) -> frozenset[str]:
        """Names of what this run can measure."""
        found = frozenset(FIGURES) | frozenset(COUNTS)
        if self.realtime != "simulated":
            found -= AT_MODEL
        if not self.callers.expect_something:
            found -= {"misrouted", "not_routed"}
        if not self.callers.await_greeting:
            found -= {"greetings_missing"}
        return found if self.way == "voice" else found - BY_WEBHOOK

    def to_json(self) -> dict[str, Any]:
        """For the result; no secrets."""
        where: dict[str, Any] = (
            {"target" if self.target.way == "media" else "voice": self.target.url}
            if self.target is not None
            else {"target": f"our own bridge ({self.way})", "own_bridge": self.way}
        )
        if self.own_bridge is not None:
            where["workers"] = self.own_bridge.workers
        return {
            **where,
            "calls": self.calls,
            "ramp_per_s": self.rate_per_s,
            "arrival": self.arrival,
            "for_s": self.for_s,
            "scenarios": dict(self.callers.asked),
            "seed": self.seed,
            "realtime": self.realtime,
            **({"profile": self.profile} if self.realtime == "simulated" else {}),
            "line": line_to_json(self.line),
            **self.compat.to_json(),
            **({"degrade": self.degradation.to_json()} if self.degradation else {}),
        }


def line_to_json(line: LineConditions) -> dict[str, float]:
    """Only what differs from a perfect line."""
    perfect = LineConditions()
    names = ("snr_db", "loss_percent", "loss_run", "jitter_ms", "burst_ms", "burst_every_ms")
    return {
        name: getattr(line, name) for name in names if getattr(line, name) != getattr(perfect, name)
    }
