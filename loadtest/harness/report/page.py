"""The report of a run: one HTML file that needs no network, with its styles, script and plots."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from xml.etree.ElementTree import Element

from loadtest.harness.report import distribution, over_time, tables, waterfall
from loadtest.harness.report.markup import Child, document, el, listed
from loadtest.harness.report.plots import Plot, drawn
from loadtest.harness.report.verdict import (
    Verdict,
    milliseconds,
    ordered_figures,
    target_of,
    verdict_of,
)
from loadtest.harness.result import Result

_OPEN_FIGURES = 3
"""Distributions that are not folded away: the first of ``FIGURES`` that were measured."""


def write_html(result: Result, path: Path) -> None:
    """OSError where the file cannot be written."""
    # A lone surrogate in a text from outside must not cost the report.
    path.write_text(html(result), encoding="utf-8", errors="xmlcharrefreplace")


def html(result: Result) -> str:
    verdict = verdict_of(result)
    sections = (
        _gates(result),
        _latencies(result),
        _distributions(result),
        _over_time(result),
        _waterfall(result),
        _outcomes(result),
        _process(result),
        _conditions(result),
    )
    body = el(
        "body",
        _header(result, verdict),
        el("main", *sections, _footer(result)),
        el("script", _file("report.js")),
    )
    return document(el("html", _head(result, verdict), body, lang="en"))


def _head(result: Result, verdict: Verdict) -> Element:
    return el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"{verdict.headline} · load test of {target_of(result)}"),
        el("link", rel="icon", href="data:,"),  # else a browser asks the server for one
        el("style", _file("report.css")),
    )


def _header(result: Result, verdict: Verdict) -> Element:
    kind = {"run": "Load test", "soak": "Soak test", "merged": "Merged load test"}[result.kind]
    when = result.started_at.replace("T", " ", 1)[:19]
    about = f"{kind} of {target_of(result)}, begun {when} UTC, {result.seconds:,.0f} s long"
    because = listed("ul", (el("li", why) for why in verdict.because), class_="because")
    return el(
        "header",
        el("h1", verdict.headline, class_=verdict.state),
        el("p", about, class_="quiet"),
        el("p", "It was interrupted: later calls are missing.") if verdict.partial else None,
        because if verdict.because else None,
        _tiles(result),
        *(el("p", note, class_="quiet") for note in result.notes),
    )


def _tiles(result: Result) -> Element:
    heard = result.figures.get("first_audio_out")
    tiles = {
        "calls": _count(result, "calls"),
        "failed calls": _count(result, "calls_failed"),
        "turns": _count(result, "turns"),
        "unanswered turns": _count(result, "unanswered_turns"),
        "wait for an answer, median": f"{milliseconds(heard.p50)} ms" if heard else None,
        "wait for an answer, p95": f"{milliseconds(heard.p95)} ms" if heard else None,
    }
    return listed(
        "dl",
        (
            el("div", el("dt", name), el("dd", value))
            for name, value in tiles.items()
            if value is not None
        ),
        class_="tiles",
    )


def _count(result: Result, name: str) -> str | None:
    count = result.counts.get(name)
    return None if count is None else f"{count:,}"


def _gates(result: Result) -> Element | None:
    return _section("Gates", tables.gates_table(result.gates)) if result.gates else None


def _latencies(result: Result) -> Element:
    figures = tables.figures_table(result) if result.figures else None
    nothing = el("p", "No latency was measured.") if figures is None else None
    counts = tables.counts_table(result.counts) if result.counts else None
    return _section("Figures", nothing, figures, counts)


def _distributions(result: Result) -> Element | None:
    names = list(ordered_figures(result))
    if not names:
        return None
    first, rest = names[:_OPEN_FIGURES], names[_OPEN_FIGURES:]
    folded = (el("details", el("summary", name), _plots(_shape_of(result, name))) for name in rest)
    opened = _plots(plot for name in first for plot in _shape_of(result, name))
    return _section("How latencies are distributed", opened, *folded)


def _shape_of(result: Result, name: str) -> list[Plot]:
    latency = result.figures[name].latency()
    curve = distribution.percentile_curve(name, latency, result.gates)
    return [distribution.histogram(name, latency), curve]


def _over_time(result: Result) -> Element | None:
    series = result.series
    if not series:
        return None
    longest_s = max(result.seconds, series[-1].at_s)
    counted = [
        over_time.concurrency(series, longest_s),
        over_time.turns(series, longest_s),
        over_time.errors(series, longest_s),
    ]
    names = list(ordered_figures(result))
    found = (over_time.latency(name, series, longest_s, result.gates) for name in names)
    latencies = [plot for plot in found if plot is not None]
    measured = [name for name in names if any(name in second.figures for second in series)]
    numbers = el(
        "details",
        el("summary", "Numbers over time"),
        tables.times_table(series, measured),
    )
    return _section("Over time", _plots([*counted, *latencies]), numbers)


def _waterfall(result: Result) -> Element | None:
    if not result.turns:
        return None
    told = (
        "Where the time of a turn went. Time 0 is the caller's last audible frame. "
        f"{len(result.turns)} turns were kept of the run."
    )
    return _section("Waterfall of a turn", el("p", told), *waterfall.section(result.turns))


def _outcomes(result: Result) -> Element | None:
    found = [
        tables.kinds_table(title, what, counts)
        for title, what, counts in (
            ("Where calls went", "outcome", result.outcomes),
            ("Errors by kind", "error", result.errors),
        )
        if counts
    ]
    if not result.errors:
        found.append(el("p", "No errors."))
    return _section("Outcomes and errors", el("div", *found, class_="pair"))


def _process(result: Result) -> Element | None:
    if result.process is None:
        return None
    cpu = result.process.cpu_us_per_frame
    told = f"Process {result.process.pid}" + (
        f": {cpu:.1f} µs CPU per caller frame" if cpu is not None else ""
    )
    return _section(
        "Process of the bridge", el("p", told), _plots(over_time.process(result.process))
    )


def _conditions(result: Result) -> Element:
    found = (("Plan", result.plan), ("Machine of the generator", result.machine))
    made = (tables.values_table(title, values) for title, values in found if values)
    return _section("Plan and machine", el("div", *made, class_="pair"))


def _footer(result: Result) -> Element:
    told = (
        f"triage-bridge {result.version}. Percentiles come from HdrHistograms, exact to three "
        "digits. What could not be measured is absent."
    )
    return el("footer", el("p", told))


def _section(title: str, *children: Child) -> Element:
    return el("section", el("h2", title), *children)


def _plots(plots: Iterable[Plot]) -> Element:
    return listed("div", (drawn(plot) for plot in plots), class_="plots")


def _file(name: str) -> str:
    """Our own text: it has no ``</script`` or ``</style`` in it."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
