"""What the bench reports: one level, one run of a system, and medians over runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from statistics import median

from loadtest.bench.gauges import RigLevel
from loadtest.bench.search import NEAR_CAPACITY_SHARE, Tried, calls_at, most_passed

UPLINK_P99_LIMIT_MS = 20.0
RIG_LATE_P99_LIMIT_MS = 5.0
"""A rig that is later than this cannot say that the system was."""


@dataclass(frozen=True, slots=True)
class Level:
    """One number of calls on one system."""

    seen: RigLevel
    cpu_share: float
    """Of one core, used by the system."""
    rig_share: float
    cpu_us_per_frame: float
    """System's CPU per caller frame, everything else it did included."""
    rss_kib: int
    decided: int = 0
    """Further calls that came, were decided and ended meanwhile."""
    undecided: int = 0

    @property
    def complaints(self) -> tuple[str, ...]:
        """Why this level does not pass; empty if it does."""
        seen, p99_ms = self.seen, self.seen.uplink.p99_ms
        found = {
            "no frames": 0 if p99_ms is not None else 1,
            "p99 too late": int((p99_ms or 0.0) >= UPLINK_P99_LIMIT_MS),
            "uplink faults": seen.uplink_faults.total,
            "downlink faults": seen.downlink_faults.total,
            "unreadable": seen.unreadable,
            "audio crossed": seen.crossed,
            "configuration refused": seen.refusals,
            "clears missed": seen.clears_missed,
            "calls not talking": seen.not_talking,
            "calls ended early": seen.ended_early,
            "calls not decided": self.undecided,
        }
        return tuple(f"{what} ({count})" for what, count in found.items() if count)

    @property
    def rig_was_late(self) -> bool:
        return (self.seen.late.p99_ms or 0.0) >= RIG_LATE_P99_LIMIT_MS

    @property
    def tried(self) -> Tried:
        return Tried(self.seen.calls, self.cpu_share, not self.complaints)

    def to_json(self) -> dict[str, object]:
        return {
            **asdict(self),
            "passed": not self.complaints,
            "complaints": self.complaints,
            "rig_was_late": self.rig_was_late,
        }


@dataclass(frozen=True, slots=True)
class Run:
    """One start of one system, through its levels."""

    system: str
    idle_rss_kib: int
    levels: tuple[Level, ...]

    @property
    def max_calls(self) -> int:
        return most_passed([level.tried for level in self.levels])

    @property
    def best(self) -> Level | None:
        """The level with the most calls that passed."""
        passed = [level for level in self.levels if not level.complaints]
        return max(passed, key=lambda level: level.seen.calls, default=None)

    @property
    def kib_per_call(self) -> float | None:
        """Growth since idle, at the last level before any failed: overload leaves memory behind."""
        clean = list(takewhile(lambda level: not level.complaints, self.levels))
        level = clean[-1] if clean else self.best
        return None if level is None else (level.rss_kib - self.idle_rss_kib) / level.seen.calls

    @property
    def limited_by_rig(self) -> bool:
        """Whether the search ended with the rig late: then ``max_calls`` is a floor."""
        beyond = [
            level for level in self.levels if level.complaints and level.seen.calls > self.max_calls
        ]
        return bool(beyond) and all(level.rig_was_late for level in beyond)

    def figures(self) -> dict[str, float | None]:
        """The run in numbers; medians are taken of these."""
        best = self.best
        full = calls_at(NEAR_CAPACITY_SHARE, [level.tried for level in self.levels])
        seen = best.seen if best else None
        return {
            "calls_at_90_percent_cpu": full.calls if full else None,
            "max_calls": float(self.max_calls),
            "cpu_us_per_frame": best.cpu_us_per_frame if best else None,
            "uplink_p50_ms": seen.uplink.p50_ms if seen else None,
            "uplink_p99_ms": seen.uplink.p99_ms if seen else None,
            "first_audio_p95_ms": seen.first_audio.p95_ms if seen else None,
            "barge_in_p95_ms": seen.barge_in.p95_ms if seen else None,
            "kib_per_call": self.kib_per_call,
            "idle_mib": self.idle_rss_kib / 1024,
        }

    def to_json(self) -> dict[str, object]:
        return {
            "system": self.system,
            "idle_rss_kib": self.idle_rss_kib,
            "limited_by_rig": self.limited_by_rig,
            "figures": self.figures(),
            "levels": [level.to_json() for level in self.levels],
        }


def cpu_at_equal_calls(runs: Sequence[Run]) -> dict[int, dict[str, float]]:
    """CPU µs a caller frame by calls and system, medians, where every run measured those calls.

    A frame gets cheaper as calls grow, for everybody: only equal numbers of calls compare.
    """
    found: dict[int, dict[str, list[float]]] = {}
    for run in runs:
        for level in run.levels:
            by_system = found.setdefault(level.seen.calls, {})
            by_system.setdefault(run.system, []).append(level.cpu_us_per_frame)
    systems = {run.system for run in runs}
    return {
        calls: {system: round(median(values), 3) for system, values in by_system.items()}
        for calls, by_system in sorted(found.items())
        if by_system.keys() == systems
    }


def medians(rows: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Median of each figure over the rows that have it."""
    found: dict[str, float | None] = {}
    for name in rows[0] if rows else ():
        values = [value for row in rows if (value := row[name]) is not None]
        found[name] = round(median(values), 3) if values else None
    return found


def ratio_of(runs: Sequence[Run], system: str, yardstick: str, figure: str) -> float | None:
    """Median over runs of system / yardstick, each pair from neighbouring runs."""
    of: Callable[[str], list[float | None]] = lambda name: [  # noqa: E731
        run.figures()[figure] for run in runs if run.system == name
    ]
    ratios = [a / b for a, b in zip(of(system), of(yardstick), strict=False) if a and b]
    return round(median(ratios), 3) if ratios else None
