"""A comparison on the terminal: verdict, table of latencies, counts, and what to bear in mind."""

from __future__ import annotations

from typing import assert_never

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtest.harness.comparing import WORSE, Comparison, CountRow, Row
from loadtest.harness.differences import Tally
from loadtest.harness.report.verdict import milliseconds


def table(found: Comparison) -> RenderableType:
    """For ``Console.print``."""
    head = _head(found)
    alarms = f"{100 * found.alpha:g} % of comparisons of equals raise a false alarm, at most"
    if any(row.floor_ms for row in found.rows):
        alarms += ", if runs differ by no more than noted below"
    made = _table("figure", "A ms", "B ms", "B - A ms", "between", "noise", "verdict")
    for row in found.rows:
        made.add_row(*_cells(row))
    parts: list[RenderableType] = [head, Text(alarms, "dim"), made]
    if found.counts:
        counted = _table("count", "A", "B", "p", "verdict")
        for count in found.counts:
            counted.add_row(*_count_cells(count))
        parts.append(counted)
    parts += [Text(f"Note: {note}", "dim") for note in found.notes]
    return Group(*parts)


_MORE_WOULD_TELL = "more turns or more runs would tell"


def _head(found: Comparison) -> Text:
    """Says no more than was found: what is undecided is not the same."""
    match found.verdict:
        case "slower":
            told, style = f"B is slower than A, or fails more: {', '.join(found.worse)}", "bold red"
        case "undecided":
            style = "bold red"
            told = f"Nothing could be decided: every latency is undecided; {_MORE_WOULD_TELL}"
        case "not slower" if found.undecided:
            style = "bold yellow"
            told = f"B is not slower than A in what could be decided; {_MORE_WOULD_TELL} "
            told += f"of the undecided: {', '.join(found.undecided)}"
        case "not slower":
            told, style = "B is not slower than A beyond noise", "bold green"
        case _:
            assert_never(found.verdict)
    return Text(told, style)


def _cells(row: Row) -> list[str | Text]:
    if row.low_ms is None or row.high_ms is None:
        between = row.why
    else:
        between = f"{_signed(row.low_ms)} to {_signed(row.high_ms)}"
    return [
        row.figure,
        milliseconds(row.a_ms),
        milliseconds(row.b_ms),
        _signed(row.b_ms - row.a_ms),
        between,
        milliseconds(row.noise_ms),
        _verdict(row.verdict),
    ]


def _count_cells(row: CountRow) -> list[str | Text]:
    return [row.name, _tally(row.a), _tally(row.b), f"{row.p:.3g}", _verdict(row.verdict)]


def _tally(tally: Tally) -> str:
    return f"{tally.events:,} of {tally.of:,}"


def _verdict(verdict: str) -> Text:
    return Text(verdict.upper(), "bold red") if verdict in WORSE else Text(verdict)


def _signed(value_ms: float) -> str:
    return f"+{milliseconds(value_ms)}" if value_ms > 0 else milliseconds(value_ms)


def _table(*columns: str) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        made.add_column(name, justify="right" if 0 < number < len(columns) - 1 else "left")
    return made
