"""The end of a run on the terminal: verdict, gates, figures, counts, outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtest.harness.report.verdict import (
    State,
    Verdict,
    amount,
    limit_of,
    milliseconds,
    ordered_figures,
    target_of,
    verdict_of,
)
from loadtest.harness.result import Judged, Result

MOST_ROWS = 12
"""Of outcomes and of errors; the JSON and the HTML file have them all."""
_STATISTICS = ("p50", "p90", "p95", "p99", "max")
_STYLES: Mapping[State, str] = {
    "passed": "bold green",
    "failed": "bold red",
    "invalid": "bold yellow",
    "measured": "bold",
}


def summary(result: Result) -> RenderableType:
    """For ``Console.print``. Texts from outside are no console markup."""
    verdict = verdict_of(result)
    parts: list[RenderableType] = [*_head(result, verdict)]
    if result.gates:
        parts.append(_gates(result.gates))
        parts += [
            Text(f"  {gate.figure}: {gate.why}") for gate in result.gates if gate.value is None
        ]
    if result.figures:
        parts.append(_figures(result))
    tables = (
        ("Counts", result.counts, len(result.counts)),
        ("Outcomes", result.outcomes, MOST_ROWS),
        ("Errors", result.errors, MOST_ROWS),
    )
    parts += [_counts(title, counts, most=most) for title, counts, most in tables if counts]
    return Group(*parts)


def _head(result: Result, verdict: Verdict) -> Iterable[Text]:
    yield Text(verdict.headline, style=_STYLES[verdict.state])
    yield from (Text(f"  {why}", style="yellow") for why in result.invalid_because)
    yield Text(f"{target_of(result)}, {result.seconds:.0f} s", style="dim")
    yield from (Text(note, style="dim") for note in result.notes)


def _gates(gates: Iterable[Judged]) -> Table:
    table = _table("Gates", ("figure", "value", "at most", ""))
    for gate in gates:
        value = "not measured" if gate.value is None else amount(gate.value, gate.unit)
        table.add_row(
            Text(gate.figure),
            Text(value),
            Text(limit_of(gate)),
            Text("passed", "green") if gate.passed else Text("FAILED", "bold red"),
        )
    return table


def _figures(result: Result) -> Table:
    table = _table("Latencies, ms", ("figure", "count", *_STATISTICS))
    for name, figure in ordered_figures(result).items():
        cells = (milliseconds(getattr(figure, statistic)) for statistic in _STATISTICS)
        table.add_row(Text(name), f"{figure.count:,}", *cells)
    return table


def _counts(title: str, counts: Mapping[str, int], *, most: int) -> Table:
    table = _table(title, ("", "count"))
    ordered = list(counts.items())
    if len(ordered) > most:
        ordered = sorted(ordered, key=lambda item: -item[1])[:most]
    for text, count in ordered:
        table.add_row(Text(text), f"{count:,}")
    if len(counts) > most:
        table.add_row(Text(f"and {len(counts) - most} more kinds", style="dim"), "")
    return table


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=number > 0)
    return table
