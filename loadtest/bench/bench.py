"""A whole bench: interleaved runs of the systems, each led through its levels by the rig."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from loadtest.bench.figures import Level, Run
from loadtest.bench.measure import CALLS_PER_SECOND, measure_level
from loadtest.bench.rig import Rig
from loadtest.bench.search import next_level
from loadtest.bench.system import Seats, System

BRIDGE_SETTINGS: Mapping[str, str] = {
    "OPENAI_API_KEY": "x",
    # Limits that would end or refuse calls stand out of reach there.
    "TRIAGE_FILE": str(Path(__file__).parent / "triage.toml"),
    "DRAIN_S": "0",
    # The rig's model speaks in tones: nothing that should be kept as a greeting.
    "MAKE_LINES": "off",
}
"""What differs from a bridge's defaults; all else is on as it comes."""


_SPARE_SHARE = 0.9
"""Of a core. A level that failed below is measured once more: 60 ms that the machine stood still
are 1 % of six seconds."""
_UNDER_WAY_S = 3.0
"""By then the first of the calls that are decided have ended."""


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What to measure. Every loop below is bounded by these."""

    systems: tuple[str, ...]
    runs: int = 3
    levels: tuple[int, ...] = (150,)
    """Numbers of calls that every system is measured at, as far as it passes."""
    search_steps: int = 3
    """Levels tried beyond those, to find the most calls."""
    window_s: float = 6.0
    limit: int = 2_000
    calls_per_second: float = CALLS_PER_SECOND
    decisions_per_second: float = 0.0
    """Measure each of ``levels`` once more while so many further calls a second are decided."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """For the systems, on top of this process's."""

    def order(self) -> Iterator[str]:
        """Systems in turn, backwards every second run: a machine's drift cancels out."""
        for run in range(self.runs):
            yield from self.systems if run % 2 == 0 else reversed(self.systems)


class Bench:
    """Runs a plan. ``say`` is told of each level as it is done."""

    def __init__(
        self,
        plan: BenchPlan,
        rig: Rig,
        seats: Seats,
        folder: Path,
        say: Callable[[str, Level], None],
    ) -> None:
        self._plan = plan
        self._rig = rig
        self._seats = seats
        self._folder = folder
        self._say = say

    async def run(self) -> list[Run]:
        return [await self._run_system(name) for name in self._plan.order()]

    async def _run_system(self, name: str) -> Run:
        environment = {
            **BRIDGE_SETTINGS,
            "MAX_CALLS": str(self._plan.limit),
            "REALTIME_URL": self._rig.realtime_url,
            "XDG_CACHE_HOME": str(self._folder),
            **self._plan.environment,
        }
        async with System(name, environment, self._seats, self._folder) as system:
            await asyncio.sleep(1.0)  # start-up work that outlasts readiness, such as warm sessions
            idle = system.read()
            try:
                levels = await self._levels(system)
            finally:
                await self._rig.set_calls(0, system.media_url)
        return Run(name, idle.rss_kib, tuple(levels))

    async def _levels(self, system: System) -> list[Level]:
        """The given levels up to the first that fails, then the search."""
        plan = self._plan
        levels: list[Level] = []
        for calls in plan.levels:
            levels.append(self._told(system, await self._level(system, calls)))
            if levels[-1].complaints:
                break
            if plan.decisions_per_second:
                levels.append(self._told(system, await self._measure_deciding(system, calls)))
        for _ in range(plan.search_steps):
            calls_next = next_level([level.tried for level in levels], plan.limit)
            if calls_next is None:
                break
            levels.append(self._told(system, await self._level(system, calls_next)))
        return levels

    def _told(self, system: System, level: Level) -> Level:
        self._say(system.name, level)
        return level

    async def _level(self, system: System, calls: int) -> Level:
        """Measure once, and once more if it fails for what may be no fault of the system's.

        That is when the rig was late, or when the system had a good part of its core to spare.
        """
        level = await self._measure(system, calls)
        if level.complaints and (level.rig_was_late or level.cpu_share < _SPARE_SHARE):
            level = await self._measure(system, calls)
        return level

    async def _measure_deciding(self, system: System, calls: int) -> Level:
        rate = self._plan.decisions_per_second
        async with self._rig.deciding(rate, system.media_url) as visits:
            await asyncio.sleep(_UNDER_WAY_S)
            earlier = replace(visits)
            level = await self._measure(system, calls)
            decided = visits.decided - earlier.decided
            return replace(level, decided=decided, undecided=visits.failed - earlier.failed)

    async def _measure(self, system: System, calls: int) -> Level:
        plan = self._plan
        return await measure_level(self._rig, system, calls, plan.window_s, plan.calls_per_second)
