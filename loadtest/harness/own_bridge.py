"""Capacity of our own bridge, by the bench's light rig: a thousand calls from one core.

The rig's callers speak numbered tones, not recordings, so that one core makes more load than one
core can carry; what a caller hears is measured by ``run``. Figures of a gate here: ``uplink`` and
``downlink`` (.p50, .p95, .p99, .max), ``lost_frames``, ``duplicate_frames``, ``reordered_frames``.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest.bench.bench import BRIDGE_SETTINGS
from loadtest.bench.figures import RIG_LATE_P99_LIMIT_MS, Level
from loadtest.bench.gauges import Spread
from loadtest.bench.measure import CALLS_PER_SECOND, measure_level
from loadtest.bench.rig import Rig
from loadtest.bench.search import Tried, next_level
from loadtest.bench.system import BRIDGE, Reading, Seats, System
from loadtest.harness.gates import Gate, GateError, parse_all
from loadtest.harness.search import SearchPlan, Trial

DEFAULT_GATES = ("uplink.p99=20ms", "downlink.p99=20ms", "lost_frames=0")
LATENCIES = ("uplink", "downlink")
COUNTS = ("lost_frames", "duplicate_frames", "reordered_frames")
STATISTICS = ("p50", "p95", "p99", "max")
_CPUCLOCK_SCHED = 2
"""Linux: the clock of all CPU time of a process, as clock_getcpuclockid(3) makes its number."""


def light_gates(texts: Sequence[str]) -> tuple[Gate, ...]:
    """Gates that the light rig can judge; GateError for others, with what there is."""
    gates = parse_all(texts or DEFAULT_GATES)
    for gate in gates:
        latency = gate.name in LATENCIES and gate.statistic in STATISTICS
        if not latency and not (gate.name in COUNTS and gate.statistic is None):
            figures = ", ".join(f"{name}.{one}" for name in LATENCIES for one in STATISTICS)
            raise GateError(
                f"gate {gate.text!r}: without --target or --voice the light rig measures {figures},"
                f" {', '.join(COUNTS)}"
            )
    return gates


class OwnBridge(System):
    """The bridge as a subprocess, with its workers."""

    def __init__(
        self, environment: Mapping[str, str], seats: Seats, folder: Path, workers: int = 1
    ) -> None:
        super().__init__(BRIDGE, environment, seats, folder)
        self._workers = workers

    def _command(self) -> list[str]:
        return [*super()._command(), "--workers", str(self._workers)]

    def read(self) -> Reading:
        """CPU and memory of the process and its children together."""
        family = [self.check_alive()]
        family += _children(family[0])
        readings = [reading for pid in family if (reading := _read(pid)) is not None]
        return Reading(sum(one.cpu_ns for one in readings), sum(one.rss_kib for one in readings))


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _read(pid: int) -> Reading | None:
    """None where it has just ended."""
    try:
        cpu_ns = time.clock_gettime_ns(~pid << 3 | _CPUCLOCK_SCHED)
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return None
    return Reading(cpu_ns, pages * resource.getpagesize() // 1024)


@dataclass(frozen=True, slots=True)
class Window:
    """How long a number of calls is measured, and the p99 from which the generator was late."""

    window_s: float = 6.0
    generator_late_ms: float = RIG_LATE_P99_LIMIT_MS


class LightTrials:
    """Measures one number of calls on a running bridge, and judges it by gates."""

    def __init__(self, rig: Rig, system: OwnBridge, gates: Sequence[Gate], bounds: Window) -> None:
        self._rig = rig
        self._system = system
        self._gates = gates
        self._bounds = bounds

    async def attempt(self, calls: int) -> Trial:
        level = await measure_level(
            self._rig, self._system, calls, self._bounds.window_s, CALLS_PER_SECOND
        )
        return Trial(
            calls=calls,
            complaints=complaints(level, self._gates, calls),
            generator_late=(level.seen.late.p99_ms or 0.0) >= self._bounds.generator_late_ms,
            figures=_figures(level),
            cpu_share=level.cpu_share,
        )

    async def hang_up(self) -> None:
        await self._rig.set_calls(0, self._system.media_url)


def choose(trials: Sequence[Trial], plan: SearchPlan) -> int | None:
    """Aims by the CPU that the bridge has used so far, as the bench does."""
    if not trials:
        return min(plan.start, plan.limit)
    return next_level([Tried(one.calls, one.cpu_share, one.passed) for one in trials], plan.limit)


def complaints(level: Level, gates: Sequence[Gate], calls: int) -> tuple[str, ...]:
    """Gates that failed, and calls that were not carried at all."""
    seen = level.seen
    broken = {
        "calls not up": calls - seen.calls,
        "calls not talking": seen.not_talking,
        "calls ended early": seen.ended_early,
        "audio of another call": seen.crossed,
        "unreadable frames": seen.unreadable,
        "clears missed": seen.clears_missed,
        "assistant audio lost or mixed up": seen.downlink_faults.total,
        "configuration refused": seen.refusals,
    }
    found = [f"{what} ({count})" for what, count in broken.items() if count > 0]
    for gate in gates:
        value = _value(gate, level)
        if value is None or value > gate.limit:
            shown = "not measured" if value is None else f"{value:g}{gate.unit}"
            found.append(f"{gate.text}: {shown}")
    return tuple(found)


def _value(gate: Gate, level: Level) -> float | None:
    seen = level.seen
    if gate.name in LATENCIES:
        value: float | None = getattr(_spread(level, gate.name), f"{gate.statistic}_ms")
        return value
    faults = seen.uplink_faults
    counts = {
        "lost_frames": faults.lost,
        "duplicate_frames": faults.duplicated,
        "reordered_frames": faults.reordered,
    }
    return float(counts[gate.name])


def _spread(level: Level, name: str) -> Spread:
    return level.seen.uplink if name == "uplink" else level.seen.delta


def _figures(level: Level) -> tuple[tuple[str, float], ...]:
    seen = level.seen
    found: dict[str, float | None] = {
        "uplink.p50": seen.uplink.p50_ms,
        "uplink.p99": seen.uplink.p99_ms,
        "downlink.p50": seen.delta.p50_ms,
        "downlink.p99": seen.delta.p99_ms,
        "first_audio_through.p95": seen.first_audio.p95_ms,
        "clear_through.p95": seen.barge_in.p95_ms,
        "cpu_us_per_frame": round(level.cpu_us_per_frame, 2),
        "rss_mib": round(level.rss_kib / 1024, 1),
        "generator_late.p99": seen.late.p99_ms,
    }
    return tuple((name, value) for name, value in found.items() if value is not None)


def environment_for(rig: Rig, folder: Path, limit: int) -> dict[str, str]:
    return {
        **BRIDGE_SETTINGS,
        "MAX_CALLS": str(limit),
        "REALTIME_URL": rig.realtime_url,
        "XDG_CACHE_HOME": str(folder),
    }


async def settled(system: OwnBridge, workers: int) -> None:
    """Start-up work outlasts readiness, such as warm sessions and the last of the workers."""
    await asyncio.sleep(1.0 if workers == 1 else 3.0)
    system.check_alive()
