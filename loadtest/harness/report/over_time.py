"""What changed while the run went on: calls, turns, latencies, errors, and the bridge's process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from loadtest.harness.report import scales
from loadtest.harness.report.plots import Bars, Curve, Plot, Point
from loadtest.harness.report.verdict import milliseconds
from loadtest.harness.result import Judged, Process, ProcessReading, Second

_MOST_POINTS = 400
_MOST_BARS = 80
_NEAR = 1.5
_LONGEST_GAP = 2.5
"""Steps: a curve ends where its next point is further away."""


def concurrency(series: Sequence[Second], longest_s: float) -> Plot:
    points = [(second.at_s, float(second.calls_up)) for second in series]
    most = max(y for _, y in points)
    return _over(
        "Calls up",
        f"Calls up over time, {most:.0f} at most",
        longest_s,
        scales.amounts(most, whole=True),
        [Curve("calls up", scales.thinned(points, _MOST_POINTS), "first", filled=True)],
    )


def turns(series: Sequence[Second], longest_s: float) -> Plot:
    return _counted("Turns", series, longest_s, lambda second: second.turns, "first")


def errors(series: Sequence[Second], longest_s: float) -> Plot:
    return _counted("Errors", series, longest_s, lambda second: second.errors, "bad")


def _counted(
    what: str,
    series: Sequence[Second],
    longest_s: float,
    count: Callable[[Second], int],
    look: str,
) -> Plot:
    """Sums of as many steps as keep the bars wide enough to be seen."""
    ends = [second.at_s for second in series]
    width = max(1, math.ceil(len(series) / _MOST_BARS))
    bars: list[tuple[float, float, float, str]] = []
    start_s = 0.0
    for first in range(0, len(series), width):
        group = series[first : first + width]
        end_s, sum_of = max(start_s, ends[first + len(group) - 1]), sum(map(count, group))
        told = f"{scales.clock(start_s)} to {scales.clock(end_s)}: {sum_of}"
        bars.append((start_s, end_s, float(sum_of), told))
        start_s = end_s
    total = sum(map(count, series))
    most = max((bar[2] for bar in bars), default=0.0)
    legend = f"{what.lower()} in each {_width_of(bars)}: {total:,} in all"
    return _over(
        what,
        f"{what} over time: {total} in all, {most:.0f} at most in {_width_of(bars)}",
        longest_s,
        scales.amounts(most, whole=True),
        [Bars(legend, bars, look)],
    )


def _width_of(bars: Sequence[tuple[float, float, float, str]]) -> str:
    widths = sorted(end - start for start, end, _, _ in bars)
    return f"{widths[len(widths) // 2]:.3g} s" if widths else "step"


def latency(
    name: str, series: Sequence[Second], longest_s: float, gates: Iterable[Judged]
) -> Plot | None:
    """p50, p95 and max of every step in which the figure was measured; None where it never was."""
    steps = [(second.at_s, figure) for second in series if (figure := second.figures.get(name))]
    if not steps:
        return None
    step_s = series[-1].at_s / len(series)
    highest = max(figure.max for _, figure in steps)
    limits = [
        gate
        for gate in gates
        if gate.figure in (f"{name}.p50", f"{name}.p95", f"{name}.max")
        and gate.limit <= highest * _NEAR
    ]
    curves = [
        Curve("p50", _thin([(at, f.p50) for at, f in steps], step_s), "first"),
        Curve("p95", _thin([(at, f.p95) for at, f in steps], step_s), "second"),
        Curve("max", _thin([(at, f.max) for at, f in steps], step_s), "third"),
        *(
            Curve(f"gate {gate.gate}", [(0.0, gate.limit), (longest_s, gate.limit)], "limit")
            for gate in limits
        ),
    ]
    worst_s, worst = max(((at, f.max) for at, f in steps), key=lambda point: point[1])
    says = (
        f"{name} over time: p50, p95 and max of each step; the highest value, "
        f"{milliseconds(worst)} ms, came at {scales.clock(worst_s)}"
    )
    top = max([highest, *(gate.limit for gate in limits)])
    return _over(f"{name}, ms", says, longest_s, scales.amounts(top), curves)


def process(readings: Process) -> list[Plot]:
    """CPU, memory, files and threads of the bridge."""
    series = readings.series
    if not series:
        return []
    longest_s = series[-1].at_s
    return [
        _read("CPU, % of one core", series, longest_s, lambda one: 100 * one.cpu_share),
        _read("Memory, MiB", series, longest_s, lambda one: one.rss_kib / 1024),
        _read("Open files", series, longest_s, lambda one: one.files, whole=True),
        _read("Threads", series, longest_s, lambda one: one.threads, whole=True),
    ]


def _read(
    what: str,
    series: Sequence[ProcessReading],
    longest_s: float,
    value: Callable[[ProcessReading], float],
    *,
    whole: bool = False,
) -> Plot:
    points = [(one.at_s, float(value(one))) for one in series]
    first, last, most = points[0][1], points[-1][1], max(y for _, y in points)
    numbers = ", ".join(
        f"{scales.shown(number)} {when}"
        for number, when in ((first, "at first"), (most, "at most"), (last, "at the end"))
    )
    return _over(
        what,
        f"{what} of the bridge over time: {numbers}",
        longest_s,
        scales.amounts(most, whole=whole),
        [Curve(numbers, scales.thinned(points, _MOST_POINTS), "first", filled=True)],
    )


def _thin(points: Sequence[tuple[float, float]], step_s: float) -> Sequence[Point]:
    """Without a line over a time in which there was nothing to measure."""
    thin = scales.thinned(points, _MOST_POINTS)
    longest_s = _LONGEST_GAP * step_s * math.ceil(len(points) / _MOST_POINTS)
    made: list[Point] = []
    for at, value in thin:
        if made and at - made[-1][0] > longest_s:
            made.append((at, None))
        made.append((at, value))
    return made


def _over(
    title: str,
    says: str,
    longest_s: float,
    y: scales.Scale,
    marks: Sequence[Curve | Bars],
) -> Plot:
    return Plot(title, says, scales.seconds(longest_s), y, marks, x_title="since the start")
