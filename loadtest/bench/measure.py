"""One number of calls, measured for a while: what came through, and what both processes used."""

from __future__ import annotations

from dataclasses import dataclass
from time import process_time_ns

from loadtest.bench.figures import Level
from loadtest.bench.rig import Rig
from loadtest.bench.system import Reading, System

CALLS_PER_SECOND = 50.0
"""At 200 a second, coming costs more of the core than talking, and admission refuses some."""
_SETTLE_S = 3.0
"""Callers who have just come are greeted all at once; after so long they talk as they will."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What both processes have used at one edge of a window."""

    system: Reading
    rig_cpu_ns: int


async def measure_level(
    rig: Rig, system: System, calls: int, window_s: float, calls_per_second: float
) -> Level:
    """Bring the rig to so many calls, let them settle, and measure ``window_s`` seconds."""
    await rig.set_calls(calls, system.media_url, calls_per_second)
    measured = await rig.measure(
        window_s, lambda: Edge(system.read(), process_time_ns()), _SETTLE_S
    )
    before, after, seen = measured.before, measured.after, measured.level
    cpu_ns = after.system.cpu_ns - before.system.cpu_ns
    window_ns = seen.window_s * 1e9
    return Level(
        seen=seen,
        cpu_share=cpu_ns / window_ns,
        rig_share=(after.rig_cpu_ns - before.rig_cpu_ns) / window_ns,
        cpu_us_per_frame=cpu_ns / 1e3 / max(1, seen.frames),
        rss_kib=after.system.rss_kib,
    )
