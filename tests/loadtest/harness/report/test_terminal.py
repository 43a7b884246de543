"""The table at the end of a run."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TypeAlias

from rich.console import Console

from loadtest.harness.report import summary
from loadtest.harness.result import Result

FullResult: TypeAlias = Callable[..., Result]


def told(result: Result) -> list[str]:
    """Lines, with single spaces."""
    console = Console(file=io.StringIO(), width=120)
    console.print(summary(result))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_it_has_verdict_gates_figures_counts_and_kinds(make_full_result: FullResult) -> None:
    lines = told(make_full_result())
    assert lines[:2] == ["Failed: 2 of 5 gates", "wss://127.0.0.1:8443/media, 121 s"]
    for line in (
        "first_audio_out.p95 1,343 ms 1,400 ms passed",
        "greeting.p95 59.9 ms 50.0 ms FAILED",
        "unanswered_turns.share 0.124 % 1 % passed",
        "first_audio_out 2,400 935 1,244 1,343 1,529 2,036",
        "frames 1,192,340",
        "flex: billing 120",
        "no answer within 10 s 1",
    ):
        assert line in lines


def test_partial_and_invalid_come_first(make_full_result: FullResult) -> None:
    lines = told(make_full_result(partial=True, valid=False, invalid_because=("late by 12 ms",)))
    assert lines[:2] == [
        "Partial run. Invalid: these figures say nothing about the target",
        "late by 12 ms",
    ]


def test_texts_from_outside_are_no_markup_and_many_kinds_are_cut(
    make_full_result: FullResult,
) -> None:
    outcomes = {f"[bold]kind {number}[/bold]": number for number in range(30)}
    lines = told(make_full_result(outcomes=outcomes))
    assert "[bold]kind 29[/bold] 29" in lines
    assert "[bold]kind 17[/bold] 17" not in lines
    assert "and 18 more kinds" in lines
