"""What a reader of a merged result has to know where its parts are not one load on one bridge."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from loadtest.harness.result import Result

Span: TypeAlias = tuple[datetime, datetime]

LEAST_IN_COMMON = 0.5
"""Share of the shortest part in which all parts ran; less is hardly a common load."""
NO_MATTER = ("seed", "out", "calls", "target", "voice", "soak")
"""What generators may differ in: calls add up, seeds and bridges are looked at by themselves, and
what a soak found is no wish."""


def notes_on(results: Sequence[Result], names: Sequence[str], spans: Sequence[Span]) -> list[str]:
    """``spans``: when each part began and ended."""
    parts = [runs_in(result.plan) for result in results]
    runs = [run for part in parts for run in part]
    return [
        *_other_bridges(runs),
        *_other_times(spans),
        *_same_seeds(parts, names),
        *_other_plans(runs),
    ]


def runs_in(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The plan of every run in it, which may be one or, in a merged plan, several.

    The ``calls`` of each are not known then: every one has the sum.
    """
    shared = {name: plan[name] for name in plan if name not in ("generators", "differing")}
    differing: Mapping[str, Sequence[Any]] = plan.get("differing") or {}
    if not differing:
        return [shared] * int(plan.get("generators", 1))
    rows = zip(*differing.values(), strict=False)
    return [{**shared, **dict(zip(differing, row, strict=True))} for row in rows]


def _other_bridges(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    where = [run.get("target") or run.get("voice") for run in runs]
    loaded = list(dict.fromkeys(str(one) for one in where if one))
    if len(loaded) > 1:
        yield f"the parts loaded different bridges: {', '.join(loaded)}"


def _other_times(spans: Sequence[Span]) -> Iterator[str]:
    shortest_s = min((end - start).total_seconds() for start, end in spans)
    first_end, last_start = min(end for _, end in spans), max(start for start, _ in spans)
    common_s = (first_end - last_start).total_seconds()
    if common_s >= shortest_s * LEAST_IN_COMMON:
        return
    if common_s <= 0:
        yield "at no time did all parts run: no common load, expected runs at the same time"
        return
    yield (
        f"all parts ran at once for {common_s:.0f} s only, the shortest of them ran for "
        f"{shortest_s:.0f} s: hardly a common load, expected runs at the same time"
    )


def _same_seeds(
    parts: Sequence[Sequence[Mapping[str, Any]]], names: Sequence[str]
) -> Iterator[str]:
    """Callers are drawn from what was asked for, by the seed."""
    drawn_by: dict[tuple[Any, str], list[str]] = {}
    for runs, name in zip(parts, names, strict=True):
        drawn = ((run.get("seed"), json.dumps(run.get("scenarios"))) for run in runs)
        for callers in dict.fromkeys(drawn):
            drawn_by.setdefault(callers, []).append(name)
    for (seed, _), alike in drawn_by.items():
        if seed is not None and len(alike) > 1:
            who = f"{', '.join(alike[:-1])} and {alike[-1]}"
            yield (
                f"{who} have the same seed, {seed}: "
                "the same callers in the same order, expected a seed each"
            )


def _other_plans(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = dict.fromkeys(name for run in runs for name in run if name not in NO_MATTER)
    differing = [name for name in names if any(run.get(name) != runs[0].get(name) for run in runs)]
    if differing:
        yield f"the parts' plans differ in {', '.join(differing)}"
