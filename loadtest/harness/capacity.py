"""Capacity as a number: repeated searches, what they say together, and the file they leave.

Our own bridge is measured by the bench's light rig on a core of its own, because a generator that
plays recordings to an ear cannot load one core of it. Any other target is measured by ``run``.
"""

from __future__ import annotations

import asyncio
import json
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from loadtest.bench.rig import Rig
from loadtest.bench.system import Seats, raise_file_limit, take_core
from loadtest.harness.gates import Gate
from loadtest.harness.own_bridge import (
    LightTrials,
    OwnBridge,
    Window,
    choose,
    environment_for,
    settled,
)
from loadtest.harness.search import Confidence, Search, SearchPlan, Trial, confidence
from loadtest.harness.search import search as run_search
from loadtest.harness.target_trials import SearchesOverError, TargetPlan, TargetTrials

SCHEMA = 1
_FILES_PER_CALL = 3
_OTHER_FILES = 1000

Say = Callable[[int, Trial], None]
"""Told of each trial as it is done, with the number of its run, from 1."""


@dataclass(frozen=True, slots=True)
class OwnPlan:
    """Our bridge, by the light rig. Every loop is bounded by ``runs`` and ``search``."""

    gates: tuple[Gate, ...]
    search: SearchPlan
    runs: int = 3
    workers: int = 1
    window: Window = field(default_factory=Window)


@dataclass(frozen=True, slots=True)
class CapacityReport:
    """At least one search unless ``partial``."""

    plan: Mapping[str, Any]
    searches: tuple[Search, ...]
    started_at: str
    seconds: float
    partial: bool = False
    machine: Mapping[str, Any] = field(default_factory=dict)
    ended_early: str = ""
    """Why the last search was not finished, where nobody interrupted it; then it is among them."""

    @property
    def measured(self) -> tuple[Search, ...]:
        """The searches that say something of the bridge, and not only of the load."""
        return tuple(one for one in self.searches if one.says_something)

    @property
    def confidence(self) -> Confidence:
        """ValueError where nothing was measured."""
        return confidence(self.searches)

    @property
    def is_floor(self) -> bool:
        """Half of the searches or more ended where the load did, not the bridge."""
        return 2 * sum(one.is_floor for one in self.measured) >= len(self.measured)

    @property
    def sentence(self) -> str:
        if not self.searches:
            return "interrupted before the first search was done: no capacity"
        if not self.measured:
            return "the load was late at every number of calls tried: nothing was measured"
        return self.confidence.sentence(floor=self.is_floor)

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"sentence": self.sentence, "calls": None}
        if self.measured:
            lower, upper, sure = self.confidence.interval
            found |= {
                "calls": self.confidence.median,
                "lower": lower,
                "upper": upper,
                "confidence": round(sure, 4),
                "carried_by_every_run": self.confidence.runs[0],
                "floor": self.is_floor,
            }
        return {
            "schema": SCHEMA,
            "kind": "capacity",
            "started_at": self.started_at,
            "seconds": round(self.seconds, 1),
            "partial": self.partial,
            "ended_early": self.ended_early or None,
            "plan": dict(self.plan),
            "machine": dict(self.machine),
            "capacity": found,
            "runs": [
                {
                    "carried": one.carried,
                    "floor": one.is_floor,
                    "left_out": not one.says_something,
                    "trials": [trial.to_json() for trial in one.trials],
                }
                for one in self.searches
            ],
        }


def write_capacity(report: CapacityReport, path: Path) -> None:
    """OSError where the file cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")


async def own_capacity(plan: OwnPlan, say: Say) -> CapacityReport:
    """Start our bridge for each run, search, stop it. Interrupted, it reports the runs it has."""
    began, started_at = monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    seats = Seats.find() if plan.workers == 1 else Seats(None, None)
    most = (raise_file_limit() - _OTHER_FILES) // _FILES_PER_CALL
    bounds = SearchPlan(
        min(plan.search.start, most), min(plan.search.limit, most), plan.search.trials
    )
    real_time = take_core(seats.rig_core)
    searches: list[Search] = []
    partial = False
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="capacity-")))
        rig = Rig()
        await rig.start()
        try:
            for number in range(1, plan.runs + 1):
                stand = _Stand(rig, seats, folder / str(number), number)
                searches.append(await _own_search(plan, bounds, stand, say))
        except asyncio.CancelledError:
            partial = True
        finally:
            await rig.close()
    asked = {
        "target": "our own bridge, light rig",
        "gates": [gate.text for gate in plan.gates],
        "runs": plan.runs,
        "workers": plan.workers,
        **asdict(plan.window),
        "search": asdict(bounds),
    }
    machine = {**about_machine(), "cores": asdict(seats), "generator_real_time": real_time}
    took_s = monotonic() - began
    return CapacityReport(asked, tuple(searches), started_at, took_s, partial, machine)


async def target_capacity(plan: TargetPlan, say: Say) -> CapacityReport:
    """Search by runs. Raises what the first of them raises; later it reports what was found."""
    began, started_at = monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    searches: list[Search] = []
    trials = TargetTrials(plan)
    partial, ended_early = False, ""
    try:
        for number in range(1, plan.runs + 1):
            found = await _target_search(plan.search, trials, number, say)
            searches.append(found)  # one by one: an interruption leaves those that are done
    except asyncio.CancelledError:
        partial = True
    except SearchesOverError as over:
        partial, ended_early = True, str(over)
        unfinished = Search(tuple(trials.tried.values()), plan.search.limit)
        searches += [unfinished] if unfinished.carried else []
    asked = {
        **plan.run.to_json(),
        "gates": [gate.text for gate in plan.run.gates],
        "runs": plan.runs,
        "window_s": plan.window_s,
        "search": asdict(plan.search),
    }
    for decided in ("calls", "for_s"):
        asked.pop(decided, None)
    took_s = monotonic() - began
    machine = about_machine()
    return CapacityReport(asked, tuple(searches), started_at, took_s, partial, machine, ended_early)


async def _target_search(bounds: SearchPlan, trials: TargetTrials, number: int, say: Say) -> Search:
    trials.tried = {}

    async def attempt(calls: int) -> Trial:
        trial = await trials.attempt(calls)
        say(number, trial)
        return trial

    return await run_search(bounds, attempt)


@dataclass(frozen=True, slots=True)
class _Stand:
    """Where one search takes place."""

    rig: Rig
    seats: Seats
    folder: Path
    number: int


async def _own_search(plan: OwnPlan, bounds: SearchPlan, stand: _Stand, say: Say) -> Search:
    stand.folder.mkdir()
    environment = environment_for(stand.rig, stand.folder, bounds.limit)
    system = OwnBridge(environment, stand.seats, stand.folder, plan.workers)
    async with system:
        await settled(system, plan.workers)
        trials = LightTrials(stand.rig, system, plan.gates, plan.window)

        async def attempt(calls: int) -> Trial:
            trial = await trials.attempt(calls)
            say(stand.number, trial)
            return trial

        try:
            return await run_search(bounds, attempt, choose if plan.workers == 1 else None)
        finally:
            await trials.hang_up()


def about_machine() -> dict[str, Any]:
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
    }


def trial_line(number: int, trial: Trial) -> str:
    """For the terminal: one trial."""
    shown = ", ".join(f"{name} {value:g}" for name, value in trial.figures)
    verdict = "carried" if trial.passed else "; ".join(trial.complaints) or "generator late"
    cpu = f", {trial.cpu_share:.0%} of a core" if trial.cpu_share else ""
    return f"run {number}  {trial.calls:>5} calls  {verdict}{cpu}  ({shown})"


def summary(report: CapacityReport) -> Sequence[str]:
    """For the terminal: what it came to."""
    lines = [report.sentence]
    if report.ended_early:
        lines.append(f"ended early: {report.ended_early}; the last run is counted as far as it got")
    elif report.partial:
        lines.append("interrupted: only finished runs are counted")
    mute = len(report.searches) - len(report.measured)
    if mute and report.measured:
        lines.append(f"{mute} of {len(report.searches)} runs had a late load only: left out")
    if any(one.is_floor for one in report.measured):
        lines.append(
            "at least one run ended at its limit or where the generator was late: it is a floor"
        )
    return lines
