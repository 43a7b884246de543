"""Several results of the same load become one: histograms add up exactly, counts are summed."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from loadtest.harness import gates
from loadtest.harness.figures import Latency
from loadtest.harness.merge_notes import notes_on, runs_in
from loadtest.harness.result import (
    Figure,
    Result,
    ResultError,
    Second,
    SecondFigure,
    sampled,
)


def merge(results: Sequence[Result], names: Sequence[str] = ()) -> Result:
    """One result of several generators that ran beside each other (or one after the other).

    ResultError where a run is among them twice, in a merged one too; ``names`` say which then.

    Gates of the parts are judged anew on the whole. Seconds of the series are put together by the
    clock. A run that was not valid makes the whole not valid. Parts that are not one load are
    noted: other bridges, other times, other plans, the same seed.
    """
    if not results:
        raise ResultError("nothing to merge")
    names = names or [f"part {number}" for number in range(1, len(results) + 1)]
    parts = _parts(results, names)
    starts = [_start(result) for result in results]
    first = min(starts)
    ends = [
        start + timedelta(seconds=result.seconds)
        for start, result in zip(starts, results, strict=True)
    ]
    noted = notes_on(results, names, list(zip(starts, ends, strict=True)))
    whole = Result(
        version=results[0].version,
        kind="merged",
        started_at=first.isoformat(),
        seconds=round((max(ends) - first).total_seconds(), 3),
        partial=any(result.partial for result in results),
        valid=all(result.valid for result in results),
        invalid_because=tuple(
            f"generator {number}: {why}"
            for number, result in enumerate(results, start=1)
            for why in result.invalid_because
        ),
        notes=tuple(dict.fromkeys([*noted, *(note for one in results for note in one.notes)])),
        plan=_plan([result.plan for result in results]),
        machine=_machine([result.machine for result in results]),
        figures=_figures(results),
        counts=_sum(result.counts for result in results),
        outcomes=_sum(result.outcomes for result in results),
        errors=_sum(result.errors for result in results),
        series=_series(results, [(start - first).total_seconds() for start in starts]),
        parts=parts,
        turns=sampled([turn for result in results for turn in result.turns]),
        process=next((result.process for result in results if result.process), None),
    )
    texts = dict.fromkeys(gate.gate for result in results for gate in result.gates)
    return whole.model_copy(update={"gates": gates.judge_all(gates.parse_all(texts), whole)})


def _parts(results: Sequence[Result], names: Sequence[str]) -> tuple[str, ...]:
    """Every run that these are made of, by the fingerprint of its result."""
    found: dict[str, str] = {}
    for result, name in zip(results, names, strict=True):
        for part in result.parts or (_fingerprint(result),):
            if part in found:
                raise ResultError(f"{name}: holds a run that {found[part]} holds, expected it once")
            found[part] = name
    return tuple(found)


def _fingerprint(result: Result) -> str:
    """Two runs are never the same to the last figure; a copied file is."""
    text = json.dumps(result.to_json(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _start(result: Result) -> datetime:
    """ResultError for a time that says nothing of others, which has no offset."""
    try:
        start = datetime.fromisoformat(result.started_at)
    except ValueError:
        start = None
    if start is None or start.tzinfo is None:
        raise ResultError(f"started_at is {result.started_at!r}, expected ISO 8601 with an offset")
    return start


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        for name, count in one.items():
            total[name] += count  # update() would drop nothing, but keep zeros: they are measured
    return dict(total)


def _figures(results: Sequence[Result]) -> dict[str, Figure]:
    found: dict[str, Latency] = {}
    for result in results:
        for name, figure in result.figures.items():
            found.setdefault(name, Latency()).add(figure.latency())
    return {name: Figure.of(latency) for name, latency in found.items()}


def _plan(plans: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What all share; ``calls`` are added up; what differs is listed under ``differing``."""
    runs = [run for plan in plans for run in runs_in(plan)]
    names = dict.fromkeys(name for run in runs for name in run)
    values = {name: [run.get(name) for run in runs] for name in names if name != "calls"}
    shared = {name: of[0] for name, of in values.items() if all(one == of[0] for one in of)}
    differing = {name: of for name, of in values.items() if name not in shared}
    calls = (
        {"calls": sum(int(plan.get("calls") or 0) for plan in plans)} if "calls" in names else {}
    )
    return {**shared, **calls, "generators": len(runs), "differing": differing}


def _machine(machines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    late = [machine.get("generator_late_p99_ms") for machine in machines]
    known = [float(one) for one in late if one is not None]
    return {
        **machines[0],
        "generator_late_p99_ms": max(known, default=None),
        "generators": list(machines),
    }


def _series(results: Sequence[Result], offsets_s: Sequence[float]) -> tuple[Second, ...]:
    """By the longest step of any part: shorter ones are put together, none falls between two."""
    ticks = [_ticks(result.series) for result in results]
    longest_s = max(1.0, *(step_s for step_s, _ in ticks))
    found: dict[int, list[list[Second]]] = {}
    for result, offset_s, (step_s, numbers) in zip(results, offsets_s, ticks, strict=True):
        own: dict[int, list[Second]] = {}
        for second, number in zip(result.series, numbers, strict=True):
            steps = (number + round(offset_s / step_s)) * step_s / longest_s
            own.setdefault(math.ceil(round(steps, 2)), []).append(second)
        for step, seconds in own.items():
            found.setdefault(step, []).append(seconds)
    return tuple(_second(step * longest_s, found[step]) for step in sorted(found))


def _ticks(series: Sequence[Second]) -> tuple[float, list[int]]:
    """How long a step of this series is, and which one each second is, from 1.

    Seconds end some milliseconds late, each by its own; the last one ends with the run.
    """
    ends_s = np.array([second.at_s for second in series])
    if not len(ends_s):
        return 1.0, []
    apart_s = np.diff(ends_s, prepend=0.0)
    about_s = max(0.1, float(np.median(apart_s)))
    numbers = np.cumsum(np.rint(apart_s / about_s)).astype(int)
    last_whole = max(0, len(ends_s) - 2)
    step_s = float(ends_s[last_whole] / max(1, numbers[last_whole]))
    even_s = round(step_s, 1)
    return (even_s if abs(even_s - step_s) < 0.002 * step_s else step_s), numbers.tolist()


def _second(at_s: float, by_part: Sequence[Sequence[Second]]) -> Second:
    """``by_part``: of every part what falls into the step; of calls up, the most there were."""
    parts = [second for seconds in by_part for second in seconds]
    names = dict.fromkeys(name for part in parts for name in part.figures)
    return Second(
        at_s=round(at_s, 3),
        calls_up=sum(max(second.calls_up for second in seconds) for seconds in by_part),
        turns=sum(part.turns for part in parts),
        errors=sum(part.errors for part in parts),
        ended=sum(part.ended for part in parts),
        figures={
            name: _second_figure([part.figures[name] for part in parts if name in part.figures])
            for name in names
        },
    )


def _second_figure(parts: Sequence[SecondFigure]) -> SecondFigure:
    """Exact where every part kept its histogram, else the worst of the parts."""
    latency = Latency()
    for part in parts:
        if part.hdr is None:
            return SecondFigure(
                count=sum(one.count for one in parts),
                p50=max(one.p50 for one in parts),
                p95=max(one.p95 for one in parts),
                max=max(one.max for one in parts),
            )
        latency.add(Latency.decode(part.hdr))
    return SecondFigure.of(latency)
