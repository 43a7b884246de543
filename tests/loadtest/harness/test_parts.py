"""A run cut into parts: how long they are, and which seconds fall into which."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.figures import Latency
from loadtest.harness.parts import MOST_PARTS, parts
from loadtest.harness.result import Second, SecondFigure

FEWEST = 10


def second(at_s: float, count: int = FEWEST, value_ms: float = 1.0) -> Second:
    figure = SecondFigure.of(Latency.of([value_ms] * count)) if count else None
    return Second(
        at_s=at_s,
        calls_up=1,
        turns=0,
        errors=0,
        ended=0,
        figures={"uplink": figure} if figure else {},
    )


def counts(series: Sequence[Second], fewest: int = FEWEST) -> list[int]:
    return [part.count for part in parts(series, "uplink", fewest)]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, []),
        (2, []),
        (3, [30]),
        (9, [30, 30, 30]),
        (14, [30, 30, 30, 50]),
        (25, [50, 50, 50, 50, 50]),
        (120, [240, 240, 240, 240, 240]),
    ],
)
def test_parts_are_few_and_grow_with_the_run(seconds: int, expected: list[int]) -> None:
    assert counts([second(n + 1.0) for n in range(seconds)]) == expected


def test_a_second_told_a_little_early_is_a_second() -> None:
    late = [1.001, 2.0, 2.999, 4.0, 5.0, 5.998, 7.0, 8.001, 9.0]
    assert counts([second(at_s) for at_s in late]) == [30, 30, 30]


def test_what_is_left_at_the_end_belongs_to_the_last_part() -> None:
    series = [*(second(n + 1.0) for n in range(9)), second(9.05, 3, 7.0)]
    found = parts(series, "uplink", FEWEST)
    assert [(part.count, round(part.max_ms)) for part in found] == [(30, 1), (30, 1), (33, 7)]


def test_seconds_without_the_figure_make_a_part_longer_until_it_has_enough() -> None:
    """Parts go by the clock from the first value to the last; here it says nothing for 10 s."""
    silent = [second(n + 1.0, 0) for n in range(10)]
    spoken = [second(11.0 + n, 30 if n in (0, 4, 8, 11) else 0) for n in range(12)]
    found = {fewest: counts([*silent, *spoken], fewest) for fewest in (20, 40, 200)}
    assert found == {20: [60, 30, 30], 40: [60, 60], 200: []}


def test_longer_steps_are_parts_of_their_own_where_they_are_long_enough() -> None:
    assert counts([second(60.0 * (n + 1)) for n in range(5)]) == [10] * 5


def test_a_series_without_histograms_has_no_parts() -> None:
    """Merged from results that kept only percentiles."""
    bare = SecondFigure(count=10, p50=1.0, p95=1.0, max=1.0)
    series = [second(n + 1.0) for n in range(25)]
    series[7] = series[7].model_copy(update={"figures": {"uplink": bare}})
    assert counts(series) == []


@given(each=st.lists(st.integers(0, 40), max_size=60), fewest=st.integers(1, 50))
def test_no_value_is_lost_and_no_part_is_short_of_values(each: list[int], fewest: int) -> None:
    series = [second(n + 1.0, count) for n, count in enumerate(each)]
    found = counts(series, fewest)
    assert len(found) <= MOST_PARTS
    assert all(count >= fewest for count in found)
    assert sum(found) == (sum(each) if found else 0)
