"""How a latency is distributed: a histogram, and the percentile curve of HdrHistogram."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from loadtest.harness.figures import Latency
from loadtest.harness.report import scales
from loadtest.harness.report.plots import Bars, Curve, Plot
from loadtest.harness.report.verdict import milliseconds
from loadtest.harness.result import Judged

_MOST_BINS, _LEAST_BINS = 40, 8
_NARROWEST_MS = 0.01
"""Of a histogram: all values may be zero."""
_SHOWN_SHARE = 99.5
"""Per cent of the values that a histogram shows: one outlier would press the others together."""
_CURVE_POINTS = 160
_NEAR = 1.5
"""A limit up to this many times the highest value is drawn; beyond, it would flatten the curve."""


def histogram(name: str, latency: Latency) -> Plot:
    values, counts = latency.values_ms()
    last = min(latency.max_ms, latency.percentile_ms(_SHOWN_SHARE) * 1.1)
    bins = min(_MOST_BINS, max(_LEAST_BINS, round(2 * math.sqrt(latency.count))))
    edges = np.linspace(_first_edge(float(values[0]), last), max(last, _NARROWEST_MS), bins + 1)
    heights, _ = np.histogram(values, bins=edges, weights=counts)
    beyond = int(counts[values > last].sum())
    bars = [
        (left, right, height, f"{milliseconds(left)} to {milliseconds(right)} ms: {height:.0f}")
        for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True)
    ]
    note = f"{beyond:,} more up to {milliseconds(latency.max_ms)} ms" if beyond else None
    return Plot(
        title=f"{name}: how often",
        says=f"Histogram of {name}: {spread(latency)}",
        x=scales.span(float(edges[0]), float(edges[-1])),
        y=scales.amounts(float(heights.max()), whole=True),
        marks=(Bars(f"{latency.count:,} values", bars),),
        x_title="milliseconds",
        note=note,
    )


def _first_edge(lowest: float, last: float) -> float:
    """Zero where the values begin near it, so that the eye may compare lengths."""
    return 0.0 if lowest < last / 3 else lowest


def percentile_curve(name: str, latency: Latency, gates: tuple[Judged, ...]) -> Plot:
    """With the limits of the gates on this figure, where they are near."""
    highest = latency.max_ms
    limits = [g for g in gates if g.unit == "ms" and g.figure.rpartition(".")[0] == name]
    near = [gate for gate in limits if gate.limit <= highest * _NEAR]
    x = scales.percentiles(latency.count)
    curves = [Curve("measured", _curve(latency, x.high), "first")]
    curves += [_limit(gate, x) for gate in near]
    far = [f"{g.gate} is above this plot" for g in limits if g not in near]
    return Plot(
        title=f"{name}: percentiles",
        says=f"Percentile curve of {name}: {spread(latency)}",
        x=x,
        y=scales.amounts(max([highest, *(gate.limit for gate in near)])),
        marks=curves,
        x_title="percentile",
        note=", ".join(far) or None,
    )


def _curve(latency: Latency, highest: float) -> list[tuple[float, float | None]]:
    """Evenly along the axis of nines."""
    values, counts = latency.values_ms()
    most_nines = -np.log10(1 - highest / 100)
    wanted = 100 * (1 - 10 ** -np.linspace(0, most_nines, _CURVE_POINTS))
    upto: NDArray[np.float64] = 100 * np.cumsum(counts) / latency.count
    indexes = np.minimum(np.searchsorted(upto, wanted - 1e-9), len(values) - 1)
    curve = [(float(p), float(values[i])) for p, i in zip(wanted, indexes, strict=True)]
    return [*curve, (highest, latency.max_ms)]


def _limit(gate: Judged, x: scales.Scale) -> Curve:
    """From the left end to the percentile that the gate is about."""
    statistic = gate.figure.rpartition(".")[2]
    ends = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
    end = min(ends.get(statistic, x.high), x.high)
    return Curve(f"gate {gate.gate}", [(0.0, gate.limit), (end, gate.limit)], "limit")


def spread(latency: Latency) -> str:
    """In words, for those who hear the report."""
    p50, p95, p99 = (milliseconds(latency.percentile_ms(p)) for p in (50, 95, 99))
    return (
        f"{latency.count:,} values, half at most {p50} ms, 95 per cent at most {p95} ms, "
        f"99 per cent at most {p99} ms, highest {milliseconds(latency.max_ms)} ms"
    )
