"""The bench's results for people (a table) and for programs (JSON)."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from rich.table import Table

from loadtest.bench.bench import BenchPlan
from loadtest.bench.figures import (
    UPLINK_P99_LIMIT_MS,
    Level,
    Run,
    cpu_at_equal_calls,
    medians,
    ratio_of,
)
from loadtest.bench.stillness import Absence
from loadtest.bench.system import BRIDGE, YARDSTICK, Seats

_ROWS = (
    ("calls at 90 % CPU", "calls_at_90_percent_cpu", 0),
    (f"most calls with p99 < {UPLINK_P99_LIMIT_MS:.0f} ms", "max_calls", 0),
    ("CPU at these, µs a caller frame", "cpu_us_per_frame", 1),
    ("uplink p50, ms", "uplink_p50_ms", 2),
    ("uplink p99, ms", "uplink_p99_ms", 2),
    ("first audio p95, ms", "first_audio_p95_ms", 2),
    ("barge-in to clear p95, ms", "barge_in_p95_ms", 2),
    ("memory a call, KiB", "kib_per_call", 0),
    ("memory idle, MiB", "idle_mib", 0),
)
"""What it says, name in ``Run.figures``, decimals."""

_RATIOS = ("calls_at_90_percent_cpu", "max_calls", "cpu_us_per_frame", "kib_per_call")


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the figures depend on besides the systems."""

    python: str
    optimised_build: bool
    """Built with profile-guided optimisation, which is worth 20 % to pure Python."""
    cpu: str
    seats: Seats
    realtime_priority: bool
    tls: bool
    """On the model's leg."""
    callers_tls: bool = False

    @classmethod
    def here(
        cls, seats: Seats, *, realtime_priority: bool, tls: bool, callers_tls: bool = False
    ) -> Conditions:
        arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
        python = (
            f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
        )
        optimised = "--enable-optimizations" in arguments
        return cls(python, optimised, _cpu_model(), seats, realtime_priority, tls, callers_tls)

    def lines(self) -> list[str]:
        build = "profile-guided" if self.optimised_build else "without profile-guided optimisation"
        if self.seats.system_core is None:
            seats = "one core for both, so the figures are of no use"
        else:
            seats = f"system on core {self.seats.system_core}, rig on core {self.seats.rig_core}"
        priority = "SCHED_FIFO" if self.realtime_priority else "normal priority (no SCHED_FIFO)"
        legs = {"the model's leg": self.tls, "the callers' leg": self.callers_tls}
        secured = " and ".join(leg for leg, on in legs.items() if on)
        tls = f"TLS on {secured}" if secured else "no TLS"
        return [f"{self.python}, {build}", f"{self.cpu}; {seats}; {priority}; {tls}"]


def _cpu_model() -> str:
    count = os.cpu_count()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{count} x {line.partition(':')[2].strip()}"
    return f"{count} x {platform.machine()}"


def level_line(system: str, level: Level) -> str:
    """One level as it is done."""
    seen = level.seen
    verdict = "passes" if not level.complaints else ", ".join(level.complaints)
    late = " [the rig was late]" if level.rig_was_late else ""
    decided = f", {level.decided} calls decided" if level.decided else ""
    return (
        f"{system:<11}{seen.calls:>5} calls  CPU {level.cpu_share:>4.0%}  "
        f"{level.cpu_us_per_frame:>5.1f} µs a frame  "
        f"uplink p50 {_shown(seen.uplink.p50_ms, 2)} p99 {_shown(seen.uplink.p99_ms, 2)} ms  "
        f"rig {level.rig_share:.0%}  {verdict}{decided}{late}"
    )


def table(runs: Sequence[Run]) -> Table:
    """A column for each system, and bridge / yardstick beside them."""
    systems = _systems(runs)
    ratio = ratios(runs)
    compared = {BRIDGE, YARDSTICK} <= set(systems)
    made = Table(title="Median (least to most) over runs, with what the system adds to both legs")
    made.add_column("")
    for system in systems:
        made.add_column(system, justify="right")
    if compared:
        made.add_column(f"{BRIDGE} / {YARDSTICK}", justify="right")
    for says, name, decimals in _ROWS:
        cells = [_cell([run for run in runs if run.system == s], name, decimals) for s in systems]
        made.add_row(says, *cells, *([_shown(ratio.get(name), 2)] if compared else []))
    for calls, us in cpu_at_equal_calls(runs).items():
        cells = [_shown(us[system], 1) for system in systems]
        beside = [_shown(us[BRIDGE] / us[YARDSTICK], 2)] if compared else []
        made.add_row(f"CPU at {calls} calls, µs a caller frame", *cells, *beside)
    return made


def _cell(runs: Sequence[Run], name: str, decimals: int) -> str:
    middle = medians([run.figures() for run in runs])[name]
    values = [value for run in runs if (value := run.figures()[name]) is not None]
    floor = ">= " if name == "max_calls" and any(run.limited_by_rig for run in runs) else ""
    if len(values) < 2:
        return floor + _shown(middle, decimals)
    low, high = _shown(min(values), decimals), _shown(max(values), decimals)
    return f"{floor}{_shown(middle, decimals)} ({low} to {high})"


def ratios(runs: Sequence[Run]) -> dict[str, float | None]:
    """Bridge over yardstick, each pair from neighbouring runs."""
    return {name: ratio_of(runs, BRIDGE, YARDSTICK, name) for name in _RATIOS}


def write_json(
    path: Path,
    plan: BenchPlan,
    conditions: Conditions,
    runs: Sequence[Run],
    absences: Sequence[Absence],
) -> None:
    """``absences`` of the machine's cores, before the runs and after them."""
    by_system = {
        system: medians([run.figures() for run in runs if run.system == system])
        for system in _systems(runs)
    }
    document = {
        "conditions": asdict(conditions),
        "machine_away": [asdict(absence) for absence in absences],
        "plan": {**asdict(plan), "environment": sorted(plan.environment)},
        "medians": by_system,
        "cpu_us_per_frame_at_equal_calls": {
            str(calls): us for calls, us in cpu_at_equal_calls(runs).items()
        },
        "ratios_bridge_to_yardstick": ratios(runs),
        "runs": [run.to_json() for run in runs],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _systems(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(run.system for run in runs))


def _shown(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"
