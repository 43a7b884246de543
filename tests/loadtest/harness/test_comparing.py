"""Comparisons of results, and ``loadtest compare`` with its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from click.testing import CliRunner

from loadtest.harness.commands.compare import command
from loadtest.harness.comparing import CompareError, Noise, Question, compare
from loadtest.harness.result import Result, write

MakeResult: TypeAlias = Callable[..., Result]
NOISE = Noise(0.05, 2.0)


def waits(seed: int, *, count: int = 600, factor: float = 1.0) -> list[float]:
    """Milliseconds, half within 900."""
    drawn = 900 * factor * np.random.default_rng(seed).lognormal(0, 0.25, count)
    return [float(value) for value in drawn]


def test_a_slower_bridge_is_told_by_figure(make_result: MakeResult) -> None:
    a = make_result({"first_audio_out": waits(1), "barge_in": waits(2)})
    b = make_result({"first_audio_out": waits(3, factor=1.2), "barge_in": waits(4)})
    found = compare([a], [b], Question())
    verdicts = {row.figure: row.verdict for row in found.rows}
    assert found.worse == ("first_audio_out.p50", "first_audio_out.p95")
    assert verdicts["barge_in.p50"] in ("same", "undecided")
    back = compare([b], [a], Question())
    assert back.worse == ()
    assert back.rows[0].verdict == "faster"


def test_a_difference_within_the_noise_is_none(make_result: MakeResult) -> None:
    """It is there beyond doubt, and nobody cares."""
    values = waits(1, count=5000)
    a = make_result({"greeting": values})
    b = make_result({"greeting": [value + 20 for value in values]})
    rows = {}
    for text in ("5%", "25ms", "1%,25ms", "5ms"):
        question = Question(("greeting.p50",), Noise.parse(text))
        [rows[text]] = compare([a], [b], question).rows
    assert {text: row.verdict for text, row in rows.items()} == {
        "5%": "same",
        "25ms": "undecided",  # the upper bound is beyond 25 ms
        "1%,25ms": "undecided",
        "5ms": "slower",
    }
    assert (rows["5ms"].low_ms or 0) > 0


def test_equals_are_rarely_called_slower_in_any_figure(make_result: MakeResult) -> None:
    """5 % for the whole comparison; without noise that could hide a difference."""
    alarms = 0
    for seed in range(0, 600, 6):
        a, b = (
            make_result(
                {
                    "first_audio_out": waits(first, count=150),
                    "greeting": waits(first + 1, count=150),
                    "barge_in": waits(first + 2, count=150),
                }
            )
            for first in (seed, seed + 3)
        )
        alarms += bool(compare([a], [b], Question(noise=Noise(0.0, 0.0), seed=seed)).worse)
    assert alarms <= 13  # of 100 with 5 % each, more come with less than 1 in 1,000


def test_too_few_values_are_left_undecided(make_result: MakeResult) -> None:
    a = make_result({"greeting": waits(1, count=600)})
    b = make_result({"greeting": waits(2, count=99, factor=9)})
    median, tail = compare([a], [b], Question()).rows
    assert median.verdict == "slower"
    assert (tail.verdict, tail.why) == ("undecided", "a run has 99 values, 100 are needed")


def test_frames_of_one_run_are_not_taken_for_independent(make_result: MakeResult) -> None:
    question = Question(("uplink.p95",))
    a, b = (
        [make_result({"uplink": waits(seed, factor=factor)}) for seed in (1, 2)]
        for factor in (1.0, 1.5)
    )
    [row] = compare(a[:1], b, question).rows
    assert (row.verdict, row.why) == ("undecided", "needs 2 runs a side")
    assert compare(a, b, question).worse == ("uplink.p95",)


def test_a_bridge_that_fails_more_calls_is_worse(make_result: MakeResult) -> None:
    def with_failures(count: int) -> Result:
        counts = {"calls": 200, "calls_failed": count, "turns": 900, "unanswered_turns": 3}
        return make_result({"greeting": waits(1)}, counts=counts)

    assert compare([with_failures(0)], [with_failures(9)], Question()).worse == ("calls_failed",)
    assert compare([with_failures(9)], [with_failures(0)], Question()).worse == ()
    assert compare([with_failures(2)], [with_failures(4)], Question()).worse == ()


def test_runs_that_differ_among_themselves_widen_the_bounds(make_result: MakeResult) -> None:
    def runs(factors: Sequence[float], first: int) -> list[Result]:
        return [
            make_result({"greeting": waits(first + n, factor=factor)})
            for n, factor in enumerate(factors)
        ]

    question = Question(("greeting.p50",))
    b = runs((1.1, 1.1, 1.1), 10)
    assert compare(runs((1.0, 1.0, 1.0), 0), b, question).worse == ("greeting.p50",)
    [row] = compare(runs((0.8, 1.0, 1.2), 0), b, question).rows
    assert row.verdict == "undecided"


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ("barge_in.p95", "barge_in was not measured in every run of B; was: greeting"),
        ("nonsense", "there is no figure 'nonsense', expected one of first_audio_out,"),
        ("greeting.max", "'max' cannot be compared, expected one of p50, p90, p95, p99, p999, mea"),
        ("lost_frames", "lost_frames is a count: hold it to a gate such as lost_frames=0"),
        ("calls_failed", "calls_failed, streams_refused, unanswered_turns are always compared"),
    ],
)
def test_figures_that_cannot_be_compared_are_named(
    make_result: MakeResult, figure: str, message: str
) -> None:
    a = make_result({"greeting": waits(1), "barge_in": waits(2)})
    b = make_result({"greeting": waits(3)})
    with pytest.raises(CompareError) as caught:
        compare([a], [b], Question((figure,)))
    assert message in str(caught.value)


def test_results_without_a_common_figure_cannot_be_compared(make_result: MakeResult) -> None:
    with pytest.raises(CompareError, match=r"A: barge_in; B: generator_late"):
        compare(
            [make_result({"barge_in": [1.0]})], [make_result({"generator_late": [1.0]})], Question()
        )


def test_what_makes_a_comparison_doubtful_is_noted(make_result: MakeResult) -> None:
    a = make_result({"greeting": waits(1), "barge_in": waits(2)})
    b = make_result(
        {"greeting": waits(1)},
        partial=True,
        plan={"target": "ws://127.0.0.1:1/media", "calls": 3, "seed": 2},
        machine={"cores": 4, "generator_late_p99_ms": 2.0},
    )
    assert compare([a], [b], Question()).notes == (
        (
            "one run a side: how much runs differ from each other is unknown; "
            "give several files a side, run in turns"
        ),
        "B1 is partial: it was interrupted",
        "not measured in every run, so not compared: barge_in",
        "the plans differ: calls is 2 / 3",
        "the machines differ: cores is 2 / 4",
    )


@pytest.mark.parametrize("text", ["", "5", "-1%", "5%;2ms", "a%"])
def test_noise_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(CompareError, match=r"expected such as 5%, 20ms or 5%,20ms"):
        Noise.parse(text)


def test_noise_is_the_larger_of_both() -> None:
    assert Noise.parse("5%, 20ms") == Noise(0.05, 20.0)
    assert [Noise(0.05, 20.0).around(value) for value in (100.0, 1000.0)] == [20.0, 50.0]


# --- the command ------------------------------------------------------------------------------

Files: TypeAlias = Callable[..., str]


@pytest.fixture
def saved(make_result: MakeResult, tmp_path: Path) -> Files:
    """Writes a result, gives its path."""

    def save(name: str, *, factor: float = 1.0, seed: int = 1, **changes: object) -> str:
        file = tmp_path / name
        values = waits(seed, factor=factor)
        write(make_result({"first_audio_out": values}, **changes), file)
        return str(file)

    return save


def test_the_exit_status_says_whether_b_is_slower(saved: Files) -> None:
    a, equal, slow = saved("a"), saved("b", factor=1.01), saved("c", seed=3, factor=1.3)
    fine = CliRunner().invoke(command, [a, equal, "--noise", "20%"])
    assert (fine.exit_code, "B is not slower than A beyond noise" in fine.output) == (0, True)
    doubtful = CliRunner().invoke(command, [a, equal, "--noise", "2%"])
    assert doubtful.exit_code == 0
    assert "2 of 2 rows are undecided" in doubtful.output
    caught = CliRunner().invoke(command, [a, slow])
    assert caught.exit_code == 1
    assert "fails more: first_audio_out.p50, first_audio_out.p95" in caught.output
    assert CliRunner().invoke(command, [slow, a]).exit_code == 0


def test_several_files_a_side_are_read(saved: Files) -> None:
    first, second, third = (saved(name, seed=n) for n, name in enumerate("abc"))
    b = ["--b", saved("d", seed=9, factor=1.3), "--b", saved("e", seed=8, factor=1.3)]
    result = CliRunner().invoke(command, ["--a", f"{first},{second},{third}", *b])
    assert result.exit_code == 1
    assert "one run a side" not in result.output


def test_json_says_the_same(saved: Files) -> None:
    arguments = [saved("a"), saved("b", factor=1.3), "--json", "--figure", "first_audio_out.p95"]
    document = json.loads(CliRunner().invoke(command, arguments).output)
    assert document["undecided"] == []
    assert (document["verdict"], document["worse"]) == ("slower", ["first_audio_out.p95"])
    [row] = document["rows"]
    assert row["verdict"] == "slower"
    assert 0 < row["low_ms"] < row["b_ms"] - row["a_ms"] < row["high_ms"]


def test_wrong_use_ends_with_2_and_says_why(saved: Files, tmp_path: Path) -> None:
    a, late = saved("a"), saved("late", valid=False, invalid_because=("the generator was late",))
    other = tmp_path / "other.json"
    other.write_text('{"schema": 7}')
    cases = {
        (a,): "1 files, expected A.json B.json, or --a and --b",
        (a, "--a", a): "either A.json B.json, or --a and --b",
        (a, str(tmp_path / "none")): "No such file or directory",
        (a, str(other)): "schema is 7, this version reads schema 1",
        (a, late): "the run is not valid (the generator was late); --accept-invalid takes it",
        (a, a, "--figure", "greeting"): "greeting was not measured in every run of A; was: first_",
        (a, a, "--noise", "much"): "expected such as 5%",
    }
    for arguments, message in cases.items():
        result = CliRunner().invoke(command, list(arguments), terminal_width=200)
        assert result.exit_code == 2, result.output
        assert message in result.output
    assert CliRunner().invoke(command, [a, late, "--accept-invalid"]).exit_code == 0
