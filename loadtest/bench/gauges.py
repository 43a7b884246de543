"""What one level measured. Collecting is cheap; the arithmetic comes after the level."""

from __future__ import annotations

from array import array
from collections.abc import Sequence as Values
from dataclasses import asdict, dataclass

import numpy as np

from loadtest.bench.sequence import Faults

_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds; None where nothing was measured."""

    count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None

    @classmethod
    def of(cls, values_ns: Values[int]) -> Spread:
        """Summarise nanoseconds."""
        if not len(values_ns):
            return cls(0, None, None, None, None)
        values = np.asarray(values_ns, dtype=np.float64) / _NS_PER_MS
        p50, p95, p99 = (round(float(p), 3) for p in np.percentile(values, (50, 95, 99)))
        return cls(len(values), p50, p95, p99, round(float(values.max()), 3))


class Gauges:
    """Raw samples, in nanoseconds, of what was sent in the window ``[from_ns, until_ns)``.

    The counters run on between windows: what goes wrong while calls are opened is wrong too.
    """

    __slots__ = (
        "barge_in_ns",
        "barge_ins",
        "clears_elsewhere",
        "crossed",
        "delta_ns",
        "first_audio_ns",
        "from_ns",
        "late_ns",
        "refusals",
        "unreadable",
        "until_ns",
        "uplink_ns",
    )

    def __init__(self) -> None:
        self.start_counts()
        self.open(0, 0)

    def start_counts(self) -> None:
        self.unreadable = 0
        """Appends that are not whole frames as they were sent, or came before the configuration."""
        self.crossed = 0
        """Audio that reached another call than its own."""
        self.refusals = 0
        """Session updates that would not have carried telephone audio."""
        self.clears_elsewhere = 0
        """``clear`` without a barge-in: harmless to the caller, but traffic."""

    def open(self, from_ns: int, until_ns: int) -> None:
        """Begin a window with no samples. Its end may be set later, while it lasts."""
        self.from_ns = from_ns
        self.until_ns = until_ns
        self.uplink_ns = array("q")
        self.delta_ns = array("q")
        self.first_audio_ns = array("q")
        self.barge_in_ns = array("q")
        self.barge_ins = 0
        """How often the model said that a caller barged in."""
        self.late_ns = array("q")

    @property
    def clears_owed(self) -> int:
        """Barge-ins of the window that no ``clear`` has answered."""
        return self.barge_ins - len(self.barge_in_ns)


@dataclass(frozen=True, slots=True)
class RigLevel:
    """What the rig saw at one number of calls."""

    calls: int
    window_s: float
    frames: int
    uplink: Spread
    first_audio: Spread
    delta: Spread
    barge_in: Spread
    late: Spread
    """The rig's own lateness against its schedule."""
    uplink_faults: Faults
    downlink_faults: Faults
    earlier_faults: Faults
    """Of frames sent since the window before, most while model sessions were being opened."""
    unreadable: int
    crossed: int
    refusals: int
    clears_missed: int
    clears_elsewhere: int
    not_talking: int
    """Calls that no model session ever got audio from, or whose socket could not be opened."""
    ended_early: int
    """Calls that the bridge closed."""

    def to_json(self) -> dict[str, object]:
        return asdict(self)
