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
from loadtest.harness.comparing import compare
from loadtest.harness.figures import Latency
from loadtest.harness.questions import CompareError, Noise, Question, floor
from loadtest.harness.result import Figure, Result, Second, SecondFigure, write

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
    values = [waits(seed, count=5000) for seed in (1, 2)]
    a = [make_result({"greeting": run}) for run in values]
    b = [make_result({"greeting": [value + 20 for value in run]}) for run in values]
    rows = {}
    for text in ("5%", "25ms", "1%,25ms", "5ms"):
        question = Question(("greeting.p50",), Noise.parse(text))
        [rows[text]] = compare(a, b, question).rows
    assert {text: row.verdict for text, row in rows.items()} == {
        "5%": "same",
        "25ms": "undecided",  # the upper bound is beyond 25 ms
        "1%,25ms": "undecided",
        "5ms": "slower",
    }
    assert (rows["5ms"].low_ms or 0) > 0


def test_equals_are_rarely_called_slower_in_any_figure(make_result: MakeResult) -> None:
    """5 % for the whole comparison; waits so long that no noise hides a difference."""
    alarms = 0
    for seed in range(0, 600, 6):
        a, b = (
            make_result(
                {
                    "first_audio_out": waits(first, count=150, factor=50),
                    "greeting": waits(first + 1, count=150, factor=50),
                    "barge_in": waits(first + 2, count=150, factor=50),
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
    """Without the seconds of the run nothing tells how they hang together."""
    question = Question(("uplink.p95",))
    a, b = (
        [make_result({"uplink": waits(seed, factor=factor)}) for seed in (1, 2)]
        for factor in (1.0, 1.5)
    )
    found = compare(a[:1], b, question)
    [row] = found.rows
    why = "0 of 3 parts of a run; longer, or 2 runs a side"
    assert (row.verdict, row.why, found.verdict) == ("undecided", why, "undecided")
    assert compare(a, b, question).worse == ("uplink.p95",)


def frames(make_result: MakeResult, seed: int, *, added_ms: float = 0.0, **shape: float) -> Result:
    """A run of 25 s; every fifth second is slow, ``shape`` is ``level_ms`` and ``seconds``."""
    random = np.random.default_rng(seed)
    level_ms, series, whole = shape.get("level_ms", 0.5), [], Latency()
    for at_s in range(1, 1 + int(shape.get("seconds", 25))):
        slow = 4 if random.random() < 0.2 else 1
        values = level_ms * slow * random.lognormal(0, 0.3, 250) + added_ms
        second = Latency.of(float(value) for value in values)
        figures = {"uplink": SecondFigure.of(second)}
        series.append(
            Second(at_s=at_s, calls_up=5, turns=0, errors=0, ended=0, figures=figures),
        )
        whole.add(second)
    return make_result(series=tuple(series)).model_copy(
        update={"figures": {"uplink": Figure.of(whole)}}
    )


def test_50_ms_on_every_frame_are_found_with_one_run_a_side(make_result: MakeResult) -> None:
    a, b = frames(make_result, 1), frames(make_result, 2, added_ms=50)
    assert compare([a], [b], Question()).worse == ("uplink.p50", "uplink.p95")
    assert compare([b], [a], Question()).verdict == "not slower"


def test_one_run_beside_several_is_judged_by_parts_too(make_result: MakeResult) -> None:
    a = [frames(make_result, seed) for seed in (1, 2, 3)]
    b = [frames(make_result, 4, added_ms=50)]
    assert compare(a, b, Question()).worse == ("uplink.p50", "uplink.p95")


def test_runs_of_frames_that_differ_as_a_whole_raise_no_alarm(make_result: MakeResult) -> None:
    """A neighbour on the machine trebles what little the frames wait: the floor is for that."""
    quiet = [frames(make_result, seed) for seed in range(5)]
    busy = [frames(make_result, seed, level_ms=1.5) for seed in range(10, 15)]
    found = [compare([a], [b], Question()) for a in quiet for b in busy]
    assert [one.worse for one in found] == [()] * 25
    # Not because nothing was seen: the floor held back most of them.
    assert sum((one.rows[0].low_ms or 0) > 0 for one in found) > 12


def test_a_run_that_is_too_short_for_parts_says_so(make_result: MakeResult) -> None:
    a, b = frames(make_result, 1), frames(make_result, 2, added_ms=50, seconds=8)
    rows = compare([a], [b], Question()).rows
    why = "2 of 3 parts of a run; longer, or 2 runs a side"
    assert [(row.verdict, row.why) for row in rows] == [("undecided", why)] * 2


def test_one_run_a_side_asks_more_of_turns_than_two(make_result: MakeResult) -> None:
    """15 ms of 100 for sure: a slower bridge, or another minute on the same machine."""
    random = np.random.default_rng(1)
    runs = [[float(value) for value in random.normal(100, 1, 200)] for _ in range(2)]
    a = [make_result({"greeting": run}) for run in runs]
    b = [make_result({"greeting": [value + 15 for value in run]}) for run in runs]
    question = Question(("greeting.p50",))
    [lone], [two] = compare(a[:1], b[:1], question).rows, compare(a, b, question).rows
    assert (lone.verdict, lone.floor_ms, lone.noise_ms) == ("same", 20.0, 20.0)
    assert (two.verdict, two.floor_ms, round(two.noise_ms, 1)) == ("slower", 0.0, 5.0)


def test_frames_have_a_floor_of_their_own_and_a_share() -> None:
    floors = {
        (name, statistic): floor(name, statistic).around(100)
        for name in ("uplink", "greeting")
        for statistic in ("p50", "p95")
    }
    assert floors == {
        ("uplink", "p50"): 25.0,
        ("uplink", "p95"): 25.0,
        ("greeting", "p50"): 20.0,
        ("greeting", "p95"): 60.0,
    }


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
            "one run a side: how much runs differ from each other is unknown, so a difference "
            "counts only where it is surely above 20 ms at the median and 60 ms elsewhere "
            "(uplink, downlink: 2 and 20 ms, and 25%); "
            "two or more runs a side, made in turns, tell more"
        ),
        "not measured in every run, so not compared: barge_in",
        "B1 is partial: it was interrupted",
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
    caught = CliRunner().invoke(command, [a, slow])
    assert caught.exit_code == 1
    assert "fails more: first_audio_out.p50, first_audio_out.p95" in caught.output
    assert CliRunner().invoke(command, [slow, a]).exit_code == 0


def test_nothing_decided_is_no_pass(saved: Files) -> None:
    """Neither a pass nor a failure: a pipeline has to see it."""
    a, equal = saved("a"), saved("b", seed=3)
    arguments = [a, equal, "--noise", "1%"]
    doubtful = CliRunner().invoke(command, arguments)
    assert doubtful.exit_code == 3
    assert "Nothing could be decided: every latency is undecided" in doubtful.output
    document = json.loads(CliRunner().invoke(command, [*arguments, "--json"]).output)
    assert document["verdict"] == "undecided"
    assert document["undecided"] == ["first_audio_out.p50", "first_audio_out.p95"]


def test_more_failed_calls_are_a_verdict_where_latencies_are_undecided(saved: Files) -> None:
    counts = {"calls": 200, "turns": 900}
    a = saved("a", counts={**counts, "calls_failed": 0})
    b = saved("b", seed=3, counts={**counts, "calls_failed": 30})
    result = CliRunner().invoke(command, [a, b, "--noise", "1%"])
    assert (result.exit_code, "or fails more: calls_failed" in result.output) == (1, True)


def test_what_is_undecided_beside_a_verdict_is_named(
    make_result: MakeResult, tmp_path: Path
) -> None:
    paths = []
    for name in "ab":
        paths.append(str(tmp_path / name))
        measured = {"first_audio_out": waits(1, count=99), "greeting": waits(1)}
        write(make_result(measured), tmp_path / name)
    result = CliRunner().invoke(command, [*paths, "--noise", "20%"])
    assert result.exit_code == 0
    headline = " ".join(result.output.split("\n5 %")[0].split())
    assert headline == (
        "B is not slower than A in what could be decided; more turns or more runs would tell of "
        "the undecided: first_audio_out.p95"
    )


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
        (a, late, "--figure", "ear"): "there is no figure 'ear'",
        (late, a, "--noise", "much"): "expected such as 5%",
        ("--a", ",", "--b", a): "--a names no file",
    }
    for arguments, message in cases.items():
        result = CliRunner().invoke(command, list(arguments), terminal_width=200)
        assert result.exit_code == 2, result.output
        assert message in result.output
    assert CliRunner().invoke(command, [a, late, "--accept-invalid"]).exit_code == 0


def test_faults_of_all_files_are_told_at_once(saved: Files, tmp_path: Path) -> None:
    """What is not there at all comes first."""
    late = saved("late", valid=False, invalid_because=("the generator was late",))
    later = saved("later", valid=False, invalid_because=("so was this",))
    none, empty = str(tmp_path / "none"), tmp_path / "empty"
    empty.write_text("")
    arguments = ["--a", f"{late},{none}", "--b", f"{empty},{later},{late}"]
    result = CliRunner().invoke(command, arguments, terminal_width=200)
    assert result.exit_code == 2
    told = [line.removeprefix("Error: ") for line in result.output.splitlines()]
    assert [line for line in told if line.startswith(str(tmp_path))] == [
        f"{none}: No such file or directory",
        f"{empty}: no JSON: Expecting value: line 1 column 1 (char 0)",
        f"{late}: the run is not valid (the generator was late); --accept-invalid takes it",
        f"{later}: the run is not valid (so was this); --accept-invalid takes it",
    ]
