"""What a long run says about leaks and drift: does anything grow while the load stays the same?

Judged between the moment when the load was up (and some more had gone by) and the moment when it
went down. A growth counts when the 99 per cent confidence interval of its slope lies wholly above
the limit; see ``trend``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from loadtest.harness.result import Judged, Result
from loadtest.harness.trend import CONFIDENCE, LEAST_POINTS, TooShortError, Trend, trend

FULL_SHARE = 0.9
"""Of the most calls that were up at once: so many are the load, fewer are its beginning or end."""
Readings: TypeAlias = Sequence[tuple[float, float]]
"""Seconds since the start of the run, and a value."""


@dataclass(frozen=True, slots=True)
class SoakLimits:
    """The most that may grow in an hour of the same load.

    ``warm_up_share`` of the time at full load is passed over: caches fill, pools are made.
    ``drift_ms`` is of the median latency at each moment, for every figure that the run has.
    """

    memory_kib: float = 4096.0
    files: float = 6.0
    threads: float = 2.0
    tasks: float = 6.0
    drift_ms: float = 10.0
    warm_up_share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.warm_up_share < 0.9:
            raise ValueError(f"warm_up_share is {self.warm_up_share}, expected 0 to under 0.9")


@dataclass(frozen=True, slots=True)
class Watched:
    """One thing that must not grow."""

    name: str
    unit: str
    limit: float
    readings: Readings
    absent: str = ""
    """Why there are no readings, where there are none."""


@dataclass(frozen=True, slots=True)
class SoakReport:
    """All that was looked at: verdicts, and the trends behind them."""

    verdicts: tuple[Judged, ...]
    trends: Mapping[str, Trend] = field(default_factory=dict)
    window_s: tuple[float, float] = (0.0, 0.0)

    def to_json(self) -> dict[str, Any]:
        rounded = {
            name: {key: round(value, 6) for key, value in asdict(found).items()}
            for name, found in self.trends.items()
        }
        return {"window_s": list(self.window_s), "confidence": CONFIDENCE, "trends": rounded}


def judge_soak(result: Result, limits: SoakLimits, tasks: Readings = ()) -> Result:
    """The same run as a soak, with a gate for everything that must not grow.

    ``tasks``: readings of the bridge's own count of its tasks, where it tells it.
    """
    report = examine(result, limits, tasks)
    about = {**asdict(limits), **report.to_json(), "tasks": [list(one) for one in tasks]}
    return result.model_copy(
        update={
            "kind": "soak",
            "gates": (*result.gates, *report.verdicts),
            "plan": {**result.plan, "soak": about},
        }
    )


def examine(result: Result, limits: SoakLimits, tasks: Readings = ()) -> SoakReport:
    begin_s, end_s = window(result, limits.warm_up_share)
    verdicts: list[Judged] = []
    trends: dict[str, Trend] = {}
    for watched in _watched(result, limits, tasks):
        inside = [one for one in watched.readings if begin_s <= one[0] <= end_s]
        if watched.absent and not inside:
            continue
        try:
            found = trend([at for at, _ in inside], [value for _, value in inside])
        except TooShortError as short:
            verdicts.append(_unjudged(watched, f"{short} at full load: run it longer"))
            continue
        trends[watched.name] = found
        verdicts.append(_judged(watched, found))
    return SoakReport(tuple(verdicts), trends, (begin_s, end_s))


def not_watched(result: Result, tasks: Readings = ()) -> tuple[str, ...]:
    """What this run says nothing about, and why."""
    return tuple(
        f"{one.name}: {one.absent}"
        for one in _watched(result, SoakLimits(), tasks)
        if one.absent and not one.readings
    )


def window(result: Result, warm_up_share: float) -> tuple[float, float]:
    """From when the load was up and warm to when it went down, in seconds of the run."""
    most = max((second.calls_up for second in result.series), default=0)
    full = [second.at_s for second in result.series if second.calls_up >= most * FULL_SHARE]
    if not full:
        return 0.0, result.seconds
    begin_s, end_s = full[0], full[-1]
    return begin_s + (end_s - begin_s) * warm_up_share, end_s


def _watched(result: Result, limits: SoakLimits, tasks: Readings) -> Iterator[Watched]:
    series = result.process.series if result.process is not None else ()
    no_process = "" if series else "needs --pid, the bridge's process on this machine"
    yield Watched(
        "memory_kib",
        "KiB/h",
        limits.memory_kib,
        [(one.at_s, float(one.rss_kib)) for one in series],
        no_process,
    )
    yield Watched(
        "files", "/h", limits.files, [(one.at_s, float(one.files)) for one in series], no_process
    )
    threads = [(one.at_s, float(one.threads)) for one in series]
    yield Watched("threads", "/h", limits.threads, threads, no_process)
    untold = "" if tasks else "the bridge does not tell how many tasks it has"
    yield Watched("tasks", "/h", limits.tasks, tasks, untold)
    for name in sorted(result.figures):
        medians = [
            (second.at_s, second.figures[name].p50)
            for second in result.series
            if name in second.figures
        ]
        if len(medians) >= LEAST_POINTS:
            yield Watched(f"{name}.p50", "ms/h", limits.drift_ms, medians)


def _judged(watched: Watched, found: Trend) -> Judged:
    passed = not found.grows_beyond(watched.limit)
    sure = f"{CONFIDENCE:.0%}"
    why = (
        f"from {found.first:g} to {found.last:g}; slope {found.slope:.3g} {watched.unit}, "
        f"with {sure} confidence {found.low:.3g} to {found.high:.3g}"
    )
    return Judged(
        gate=f"soak {watched.name} grows by at most {watched.limit:g} {watched.unit}",
        figure=f"soak.{watched.name}",
        value=round(found.slope, 3),
        limit=watched.limit,
        unit=watched.unit,
        passed=passed,
        why=why,
    )


def _unjudged(watched: Watched, why: str) -> Judged:
    return Judged(
        gate=f"soak {watched.name} grows by at most {watched.limit:g} {watched.unit}",
        figure=f"soak.{watched.name}",
        value=None,
        limit=watched.limit,
        unit=watched.unit,
        passed=False,
        why=why,
    )
