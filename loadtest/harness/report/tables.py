"""The tables of the report. Every number has a header, every verdict a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from xml.etree.ElementTree import Element

from loadtest.harness.names import COUNTS, FIGURES, SHARE_OF
from loadtest.harness.report.markup import Child, el, listed
from loadtest.harness.report.scales import clock
from loadtest.harness.report.verdict import (
    amount,
    flat,
    limit_of,
    milliseconds,
    ordered_figures,
)
from loadtest.harness.result import Judged, Result, Second

_STATISTICS = ("p50", "p90", "p95", "p99", "p999", "max", "mean")
_HEADINGS = {"p999": "p99.9"}
_MOST_TIMES = 60
"""Rows of the table over time."""


def gates_table(gates: Sequence[Judged]) -> Element:
    """The verdict stands second, where a narrow screen still shows it."""
    rows = [
        (el("th", gate.figure, scope="row"), _judged(gate), _value(gate), _number(limit_of(gate)))
        for gate in gates
    ]
    return table("Value beside limit", ("figure", "verdict", "value", "at most"), rows)


def _value(gate: Judged) -> Element:
    if gate.value is None:
        return el("td", gate.why or "not measured")
    return _number(amount(gate.value, gate.unit))


def _judged(gate: Judged) -> Element:
    if gate.passed:
        return el("td", el("span", "✓ passed", class_="passed"))
    return el("td", el("strong", "✗ failed", class_="failed"))


def figures_table(result: Result) -> Element:
    """Every latency in milliseconds, with what it is measured from and to."""
    heads = [_HEADINGS.get(name, name) for name in _STATISTICS]
    rows = [
        (
            _named(name, FIGURES.get(name)),
            _number(f"{figure.count:,}"),
            *(_number(milliseconds(getattr(figure, name))) for name in _STATISTICS),
        )
        for name, figure in ordered_figures(result).items()
    ]
    return table("Latencies in milliseconds", ("figure", "count", *heads), rows)


def counts_table(counts: Mapping[str, int]) -> Element:
    rows = [
        (_named(name, COUNTS.get(name)), _number(f"{count:,}"), el("td", _share(name, counts)))
        for name, count in counts.items()
    ]
    return table("Counts", ("what", "count", "share"), rows)


def _share(name: str, counts: Mapping[str, int]) -> str:
    base = SHARE_OF.get(name)
    of = counts.get(base, 0) if base is not None else 0
    return f"{100 * counts[name] / of:.3g} % of {base}" if of else ""


def kinds_table(title: str, what: str, counts: Mapping[str, int]) -> Element:
    """Texts and how often each came, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    rows = [(el("th", text, scope="row"), _number(f"{count:,}")) for text, count in ordered]
    return table(title, (what, "count"), rows)


def values_table(title: str, values: Mapping[str, object]) -> Element:
    rows = [
        (el("th", name, scope="row"), el("td", text)) for name, text in flat(dict(values)).items()
    ]
    return table(title, ("what", "value"), rows)


def times_table(series: Sequence[Second], figures: Sequence[str]) -> Element:
    """The numbers behind the plots over time; of long runs every n-th second."""
    step = -(-len(series) // _MOST_TIMES)
    columns = ("at", "calls up", "turns", "errors", *(f"{name} p95, ms" for name in figures))
    rows = [
        (
            el("th", clock(second.at_s), scope="row"),
            *(_number(f"{n:,}") for n in (second.calls_up, second.turns, second.errors)),
            *(_number(_p95(second, name)) for name in figures),
        )
        for second in series[::step]
    ]
    return table("Over time", columns, rows)


def _p95(second: Second, name: str) -> str:
    figure = second.figures.get(name)
    return "-" if figure is None else milliseconds(figure.p95)


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Child]]) -> Element:
    """In a box that scrolls by itself where the screen is narrow."""
    body = listed("tbody", (listed("tr", cells) for cells in rows))
    looks = [cell.get("class") for cell in body[0]] if len(body) else []
    heads = (el("th", name, scope="col", class_=look) for name, look in zip_longest(columns, looks))
    made = el("table", el("caption", title), el("thead", listed("tr", heads)), body)
    return el("div", made, class_="scrolls", tabindex="0", role="region", aria_label=title)


def _named(name: str, meaning: str | None) -> Element:
    return el("th", el("code", name), el("small", meaning) if meaning else None, scope="row")


def _number(text: str) -> Element:
    return el("td", text, class_="number")
