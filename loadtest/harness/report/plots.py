"""Plots as inline SVG. Lines stretch with the page, words do not: labels are HTML beside the SVG.

Every curve differs from the others by its dashes and its name, not by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias
from xml.etree.ElementTree import Element

from loadtest.harness.report.markup import el, listed
from loadtest.harness.report.scales import Scale

_SIZE = 1000
_VIEW_BOX = f"0 0 {_SIZE} {_SIZE}"
Point: TypeAlias = tuple[float, float | None]
"""x and y; None breaks the curve."""


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    points: Sequence[Point]
    look: str
    """A style of report.css: first, second, third or limit."""
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Bars:
    name: str
    bars: Sequence[tuple[float, float, float, str]]
    """From and to on the x axis, height, and what a reader who points at it is told."""
    look: str = "first"


Mark: TypeAlias = Curve | Bars


@dataclass(frozen=True, slots=True)
class Plot:
    title: str
    says: str
    """The plot in a sentence, for those who cannot see it."""
    x: Scale
    y: Scale
    marks: Sequence[Mark]
    x_title: str = ""
    note: str | None = None


def drawn(plot: Plot) -> Element:
    picture = el(
        "svg",
        el("title", plot.says),
        *_grid(plot.x, plot.y),
        *(shape for mark in plot.marks for shape in _shapes(mark, plot)),
        viewBox=_VIEW_BOX,
        preserveAspectRatio="none",
        role="img",
        aria_label=plot.says,
    )
    return el(
        "figure",
        el("figcaption", plot.title),
        el("div", picture, *_labels(plot), class_="frame"),
        el("p", plot.x_title, class_="x-title", aria_hidden="true") if plot.x_title else None,
        _legend(plot.marks),
        el("p", plot.note, class_="note") if plot.note else None,
        class_="plot",
    )


def _grid(x: Scale, y: Scale) -> Iterable[Element]:
    for tick in y.ticks:
        at = _across(1 - tick.at)
        yield el("path", d=f"M0 {at}H{_SIZE}", class_="grid")
    for tick in x.ticks:
        yield el("path", d=f"M{_across(tick.at)} 0V{_SIZE}", class_="grid")


def _labels(plot: Plot) -> Iterable[Element]:
    yield listed(
        "div",
        (el("span", tick.label, style=f"bottom:{tick.at:.2%}") for tick in plot.y.ticks),
        class_="y",
        aria_hidden="true",
    )
    yield listed(
        "div",
        (el("span", tick.label, style=f"left:{tick.at:.2%}") for tick in plot.x.ticks),
        class_="x",
        aria_hidden="true",
    )


def _shapes(mark: Mark, plot: Plot) -> Iterable[Element]:
    if isinstance(mark, Bars):
        return _bar_shapes(mark, plot)
    return _curve_shapes(mark, plot)


def _bar_shapes(mark: Bars, plot: Plot) -> Iterable[Element]:
    for start, end, height, told in mark.bars:
        left, right = _across(plot.x.place(start)), _across(plot.x.place(end))
        tall = _across(plot.y.place(height))
        if height > 0:
            yield el(
                "rect",
                el("title", told),
                x=left,
                y=_SIZE - max(tall, 4),
                width=max(right - left, 1),
                height=max(tall, 4),  # one error among ten thousand turns is still to be seen
                class_=f"bar {mark.look}",
            )


def _curve_shapes(mark: Curve, plot: Plot) -> Iterable[Element]:
    pieces = [_placed(piece, plot) for piece in _unbroken(mark.points)]
    if mark.filled:
        areas = "".join(f"M{p[0][0]} {_SIZE}{_through(p, 'L')}V{_SIZE}Z" for p in pieces)
        yield el("path", d=areas, class_=f"area {mark.look}")
    lines = "".join(_through(piece, "M") for piece in pieces if len(piece) > 1)
    # A line of no length, with round ends: the SVG is stretched, and a circle would be as well.
    dots = "".join(f"{_through(piece, 'M')}h0" for piece in pieces if len(piece) == 1)
    yield el("path", d=lines, class_=f"curve {mark.look}")
    if dots:
        yield el("path", d=dots, class_=f"curve dot {mark.look}")


def _unbroken(points: Sequence[Point]) -> Iterable[list[tuple[float, float]]]:
    for known, group in groupby(points, key=lambda point: point[1] is not None):
        if known:
            yield [(x, y) for x, y in group if y is not None]


def _placed(points: Sequence[tuple[float, float]], plot: Plot) -> list[tuple[int, int]]:
    return [(_across(plot.x.place(x)), _across(1 - plot.y.place(y))) for x, y in points]


def _through(points: Sequence[tuple[int, int]], first: str) -> str:
    head, *rest = (f"{x} {y}" for x, y in points)
    return f"{first}{head}" + (f"L{' '.join(rest)}" if rest else "")


def _across(fraction: float) -> int:
    return round(fraction * _SIZE)


def _legend(marks: Sequence[Mark]) -> Element:
    return listed("ul", (el("li", _sample(mark), mark.name) for mark in marks), class_="legend")


def _sample(mark: Mark) -> Element:
    """A piece of the line or bar, as it is drawn."""
    if isinstance(mark, Bars):
        shape = el("rect", x=0, y=2, width=22, height=8, class_=f"bar {mark.look}")
    else:
        shape = el("path", d="M0 6H22", class_=f"curve {mark.look}")
    return el("svg", shape, viewBox="0 0 22 12", class_="sample", aria_hidden="true")
