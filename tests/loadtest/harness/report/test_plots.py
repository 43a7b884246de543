"""Scales, plots, waterfalls: where things are placed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.figures import Latency
from loadtest.harness.report import distribution, over_time, scales
from loadtest.harness.report.plots import Bars, Curve, Plot, drawn
from loadtest.harness.report.waterfall import Step, chosen, ordered, steps_of
from loadtest.harness.result import Judged, Second, SecondFigure, Waterfall

POSITIVE = st.floats(1e-3, 1e7)


@given(st.just(0.0) | POSITIVE, st.booleans())
def test_an_axis_of_amounts_begins_at_zero_and_covers_the_highest(
    highest: float, whole: bool
) -> None:
    scale = scales.amounts(highest, whole=whole)
    assert scale.low == 0
    assert scale.high >= highest * 0.999
    assert 2 <= len(scale.ticks) <= 8
    assert [scale.ticks[0].at, scale.ticks[-1].at] == [0, 1]
    assert len({tick.label for tick in scale.ticks}) == len(scale.ticks)
    if whole:
        assert all("." not in tick.label for tick in scale.ticks)


@given(POSITIVE, POSITIVE)
def test_an_axis_from_somewhere_has_ticks_with_different_labels(low: float, extent: float) -> None:
    scale = scales.span(low, low + extent)
    assert (scale.low, scale.high) == (low, low + extent)
    assert len({tick.label for tick in scale.ticks}) == len(scale.ticks) <= 8
    assert all(0 <= tick.at <= 1 for tick in scale.ticks)


@given(st.floats(0, 10**6))
def test_an_axis_of_time_has_few_ticks_with_different_labels(longest_s: float) -> None:
    ticks = scales.seconds(longest_s).ticks
    assert 1 <= len(ticks) <= 13
    assert len({tick.label for tick in ticks}) == len(ticks)
    assert all(0 <= tick.at <= 1 for tick in ticks)


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1), st.integers(1, 50))
def test_thinning_keeps_the_highest_point(points: list[tuple[float, float]], most: int) -> None:
    thin = scales.thinned(points, most)
    assert len(thin) <= most
    assert max(y for _, y in thin) == max(y for _, y in points)


def test_percentiles_are_placed_by_their_nines() -> None:
    scale = scales.percentiles(1000)
    assert [tick.label for tick in scale.ticks] == ["0", "50", "75", "90", "95", "99", "99.9"]
    many = scales.percentiles(100_000)
    assert [tick.label for tick in many.ticks] == ["0", "50", "90", "99", "99.9", "99.99", "99.999"]
    assert [scale.place(p) for p in (0, 90, 99, 99.9)] == pytest.approx([0, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.25, "0.25"), (1250.0, "1,250"), (12.5, "12.5"), (2.0, "2")],
)
def test_tick_labels_are_short(value: float, text: str) -> None:
    assert scales.shown(value) == text


@pytest.mark.parametrize(
    ("at_s", "text"), [(0, "0 s"), (59, "59 s"), (150, "2:30"), (3900, "1:05:00")]
)
def test_times_are_told_as_clocks_do(at_s: float, text: str) -> None:
    assert scales.clock(at_s) == text


def test_a_curve_is_broken_where_nothing_was_measured() -> None:
    ten = scales.Scale(0, 10, ())
    curve = Curve("c", [(0, 0), (5, 10), (6, None), (10, 5)], "first")
    figure = drawn(Plot("t", "says", ten, ten, [curve]))
    drawn_as = [path.get("d") for path in figure.findall(".//div//path[@class]")]
    assert drawn_as == ["M0 1000L500 0", "M1000 500h0"]


@pytest.mark.parametrize("step_s", [1.0, 60.0])
def test_a_curve_over_time_ends_where_nothing_was_measured_for_long(step_s: float) -> None:
    def step(number: int, *, measured: bool) -> Second:
        figures = {"barge_in": SecondFigure.of(Latency.of([4.0]))} if measured else {}
        at_s = number * step_s
        return Second(at_s=at_s, calls_up=1, turns=1, errors=0, ended=0, figures=figures)

    series = [step(number, measured=number in (1, 2, 9)) for number in range(1, 11)]
    plot = over_time.latency("barge_in", series, 10 * step_s, ())
    assert plot is not None
    p50 = plot.marks[0]
    assert isinstance(p50, Curve)
    assert [at / step_s for at, _ in p50.points] == [1, 2, 9, 9]
    assert [value is None for _, value in p50.points] == [False, False, True, False]
    assert over_time.latency("greeting", series, 10, ()) is None


def test_bars_are_as_high_as_their_values_and_nothing_is_drawn_for_none() -> None:
    ten = scales.Scale(0, 10, ())
    bars = Bars("b", [(0, 1, 5, "five"), (1, 2, 0, "none"), (2, 3, 10, "ten")])
    figure = drawn(Plot("t", "says", ten, ten, [bars]))
    rects = figure.findall(".//div//rect")
    assert [(rect.get("x"), rect.get("y"), rect.get("height")) for rect in rects] == [
        ("0", "500", "500"),
        ("200", "0", "1000"),
    ]
    assert [rect.findtext("title") for rect in rects] == ["five", "ten"]


@given(st.lists(st.floats(0, 100_000), min_size=1, max_size=300))
def test_a_histogram_loses_no_value(values: list[float]) -> None:
    plot = distribution.histogram("greeting", Latency.of(values))
    [bars] = plot.marks
    assert isinstance(bars, Bars)
    beyond = int(re.sub(r"\D.*$", "", (plot.note or "0").replace(",", "")) or 0)
    assert sum(height for _, _, height, _ in bars.bars) + beyond == len(values)


@given(st.lists(st.floats(0, 100_000), min_size=1, max_size=300))
def test_a_percentile_curve_rises_to_the_highest_value(values: list[float]) -> None:
    latency = Latency.of(values)
    [curve] = distribution.percentile_curve("greeting", latency, ()).marks
    assert isinstance(curve, Curve)
    heights = [y for _, y in curve.points if y is not None]
    assert heights == sorted(heights)
    assert heights[-1] == latency.max_ms


def test_a_limit_is_drawn_to_its_percentile_or_said_to_be_above() -> None:
    def gate(limit: float) -> Judged:
        name = "greeting.p95"
        text = f"{name}={limit:.0f}ms"
        return Judged(gate=text, figure=name, value=1, limit=limit, unit="ms", passed=True)

    latency = Latency.of([float(n) for n in range(1, 1001)])
    near = distribution.percentile_curve("greeting", latency, (gate(1200),))
    limit = near.marks[1]
    assert isinstance(limit, Curve)
    assert list(limit.points) == [(0, 1200), (95, 1200)]
    far = distribution.percentile_curve("greeting", latency, (gate(5000),))
    assert (len(far.marks), far.note) == (1, "greeting.p95=5000ms is above this plot")
    other = distribution.percentile_curve("barge_in", latency, (gate(1200),))
    assert (len(other.marks), other.note) == (1, None)


def test_a_turn_is_split_into_what_was_waited_for() -> None:
    turn = Waterfall(call="CA1", turn=1, uplink_ms=2, first_model_audio_ms=900, mark_ms=1500)
    assert steps_of(turn) == [
        Step("last caller frame reaches the model", 0, 2),
        Step("model's first audio", 2, 900),
        Step("first mark of the answer reached", 900, 1500),
    ]


def test_what_came_before_the_callers_end_is_a_step_of_its_own() -> None:
    turn = Waterfall(call="CA1", turn=1, speech_stopped_ms=-40, first_audio_out_ms=300)
    assert steps_of(turn) == [
        Step("model notices the end of speech", -40, -40),
        Step("answer is audible", 0, 300),
    ]


def test_median_p95_and_worst_are_chosen_from_the_answered() -> None:
    turns = [Waterfall(call="CA", turn=n, first_audio_out_ms=10.0 * n) for n in range(1, 101)]
    silent = Waterfall(call="CA", turn=101)
    found = chosen([silent, *reversed(turns)])
    assert {name: turn.turn for name, turn in found.items()} == {
        "median": 50,
        "p95": 95,
        "worst": 100,
    }
    assert chosen([silent]) == {}
    assert ordered([silent, *turns])[-1] == silent
