"""Result files: written, read back, merged; anything else refused by name."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from loadtest.harness.figures import Latency
from loadtest.harness.gates import judge_all, parse_all
from loadtest.harness.merging import merge
from loadtest.harness.result import (
    Figure,
    Result,
    ResultError,
    Second,
    SecondFigure,
    Waterfall,
    read,
    sampled,
    write,
)

MakeResult: TypeAlias = Callable[..., Result]


def test_a_result_is_read_as_it_was_written(make_result: MakeResult, tmp_path: Path) -> None:
    result = make_result({"greeting": [12.0, 30.5]}, turns=(Waterfall(call="CA1", turn=1),))
    write(result, tmp_path / "run.json")
    assert read(tmp_path / "run.json") == result
    assert json.loads((tmp_path / "run.json").read_text())["schema"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("[1]", "no result of a load test"),
        ('{"levels": []}', "no result of a load test"),
        ('{"schema": 2}', "schema is 2, this version reads schema 1"),
        ('{"schema": 1}', "version: Field required"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)
    with pytest.raises(ResultError, match=message) as caught:
        read(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_and_a_broken_histogram_are_named(
    make_result: MakeResult, tmp_path: Path
) -> None:
    with pytest.raises(ResultError, match=r"none\.json: No such file"):
        read(tmp_path / "none.json")
    broken = make_result({"greeting": [1.0]}).to_json()
    broken["figures"]["greeting"]["hdr"] = "AAAA"
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    with pytest.raises(ResultError, match="not an HdrHistogram"):
        read(tmp_path / "broken.json")


def test_merged_results_hold_all_values_and_sums(make_result: MakeResult) -> None:
    one = make_result({"greeting": [1.0, 2.0], "uplink": [3.0]}, errors={"lost": 1})
    two = make_result({"greeting": [9.0]}, counts={"calls": 3, "lost_frames": 0})
    merged = merge([one, two])
    assert merged.figures == {
        "greeting": Figure.of(Latency.of([1.0, 2.0, 9.0])),
        "uplink": Figure.of(Latency.of([3.0])),
    }
    assert merged.counts == {"calls": 5, "turns": 4, "lost_frames": 0}
    assert (merged.kind, merged.outcomes, merged.errors) == ("merged", {"studio": 4}, {"lost": 1})
    assert merged.plan == {
        "target": "ws://127.0.0.1:1/media",
        "calls": 4,
        "seed": 1,
        "generators": 2,
        "differing": {},
    }


PLAN = {"target": "ws://127.0.0.1:1/media", "calls": 2, "scenarios": {"faq": 1.0}}
SAME = "the same callers in the same order, expected a seed each"
HARDLY = "hardly a common load, expected runs at the same time"


def run_of(make_result: MakeResult, seed: int, at: str = "12:00:00", **plan: object) -> Result:
    """Ten seconds of a load, as it differs from other parts."""
    started_at = f"2025-03-01T{at}+00:00"
    return make_result(plan={**PLAN, "seed": seed, **plan}, started_at=started_at)


def test_parts_of_one_load_need_no_note(make_result: MakeResult) -> None:
    parts = [
        run_of(make_result, 0),
        run_of(make_result, 1, "12:00:05", calls=7),
        run_of(make_result, 2),
    ]
    assert merge(parts).notes == ()


@pytest.mark.parametrize(
    ("second", "note"),
    [
        (
            {"target": "ws://127.0.0.1:2/media"},
            "the parts loaded different bridges: ws://127.0.0.1:1/media, ws://127.0.0.1:2/media",
        ),
        (
            {"at": "12:00:06"},
            f"all parts ran at once for 4 s only, the shortest of them ran for 10 s: {HARDLY}",
        ),
        (
            {"at": "12:00:10"},
            "at no time did all parts run: no common load, expected runs at the same time",
        ),
        (
            {"seed": 0, "calls": 3},
            f"part 1 and part 2 have the same seed, 0: {SAME}",
        ),
        (
            {"profile": "fast", "scenarios": {"faq": 2.0}},
            "the parts' plans differ in scenarios, profile",
        ),
    ],
    ids=["bridge", "little time in common", "no time in common", "seed", "plan"],
)
def test_parts_that_are_not_one_load_are_told(
    make_result: MakeResult, second: dict[str, Any], note: str
) -> None:
    parts = [run_of(make_result, 0), run_of(make_result, **{"seed": 1, **second})]
    assert merge(parts).notes == (note,)


def test_every_part_with_the_seed_is_named(make_result: MakeResult) -> None:
    parts = [run_of(make_result, seed, calls=calls) for calls, seed in enumerate([4, 4, 5, 4])]
    assert merge(parts, ["a.json", "b.json", "c.json", "d.json"]).notes == (
        f"a.json, b.json and d.json have the same seed, 4: {SAME}",
    )


def test_the_same_seed_for_other_callers_is_no_matter(make_result: MakeResult) -> None:
    parts = [run_of(make_result, 4), run_of(make_result, 4, scenarios={"billing": 1.0})]
    assert merge(parts).notes == ("the parts' plans differ in scenarios",)


def test_a_merged_part_is_looked_into(make_result: MakeResult) -> None:
    one, two, three = (
        run_of(make_result, 0, profile="fast"),
        run_of(make_result, 1, profile="slow"),
        run_of(make_result, 1, profile="slow", target="ws://127.0.0.1:2/media"),
    )
    nested, flat = merge([merge([one, two]), three]), merge([one, two, three])
    assert nested.plan == flat.plan
    assert flat.plan == {
        "calls": 6,
        "scenarios": {"faq": 1.0},
        "generators": 3,
        "differing": {
            "target": [PLAN["target"], PLAN["target"], "ws://127.0.0.1:2/media"],
            "seed": [0, 1, 1],
            "profile": ["fast", "slow", "slow"],
        },
    }
    assert nested.notes == (
        "the parts loaded different bridges: ws://127.0.0.1:1/media, ws://127.0.0.1:2/media",
        f"part 1 and part 2 have the same seed, 1: {SAME}",
        "the parts' plans differ in profile",
    )


def test_a_time_without_an_offset_is_refused(make_result: MakeResult) -> None:
    with pytest.raises(ResultError, match=r"'2025-03-01T12:00:00', expected ISO 8601 with an"):
        merge([make_result(started_at="2025-03-01T12:00:00")])


def test_gates_are_judged_anew_on_the_whole(make_result: MakeResult) -> None:
    gates = parse_all(["greeting.max=5ms"])
    one, two = (make_result({"greeting": [value]}) for value in (1.0, 9.0))
    one = one.model_copy(update={"gates": judge_all(gates, one)})
    assert one.gates_passed
    assert not merge([one, two]).gates_passed


def test_one_late_or_partial_run_marks_the_whole(make_result: MakeResult) -> None:
    late = make_result(valid=False, invalid_because=("late",), partial=True)
    merged = merge([make_result(), late])
    assert (merged.valid, merged.partial) == (False, True)
    assert merged.invalid_because == ("generator 2: late",)


def test_seconds_are_put_together_by_the_clock(make_result: MakeResult) -> None:
    def second(at_s: float, value_ms: float) -> Second:
        figures = {"greeting": SecondFigure.of(Latency.of([value_ms]))}
        return Second(at_s=at_s, calls_up=1, turns=2, errors=0, ended=1, figures=figures)

    early = make_result(series=(second(1.0, 5.0), second(2.0, 6.0)))
    later = make_result(started_at="2025-03-01T12:00:01+00:00", series=(second(1.0, 7.0),))
    both = SecondFigure.of(Latency.of([6.0, 7.0]))
    assert merge([early, later]).series == (
        second(1.0, 5.0),
        Second(at_s=2.0, calls_up=2, turns=4, errors=0, ended=2, figures={"greeting": both}),
    )


def up(at_s: float, calls_up: int = 50) -> Second:
    return Second(at_s=at_s, calls_up=calls_up, turns=1, errors=0, ended=0)


@pytest.mark.parametrize("step_s", [1.0, 2.7777, 4.0])
@pytest.mark.parametrize("later_s", [0.3, 1.2, 2.0, 3.9])
def test_seconds_of_any_length_are_put_together_however_far_the_starts_are_apart(
    make_result: MakeResult, step_s: float, later_s: float
) -> None:
    looks = random.Random(1)
    series = tuple(up(n * step_s + looks.random() / 100) for n in range(1, 900))
    start = f"2025-03-01T12:00:0{later_s:.6f}+00:00"
    merged = merge([make_result(series=series), make_result(series=series, started_at=start)])
    alone = round(later_s / step_s)
    calls_up = [second.calls_up for second in merged.series]
    assert calls_up == [50] * alone + [100] * (899 - alone) + [50] * alone
    assert merged.series[-1].at_s == pytest.approx((899 + alone) * step_s, abs=0.1)


def test_shorter_steps_are_put_into_the_longest_and_calls_up_counted_once(
    make_result: MakeResult,
) -> None:
    fine = make_result(series=tuple(up(n * 1.0, 10) for n in range(1, 9)))
    coarse = make_result(series=(up(4.0), up(8.0), up(8.4, 0)))
    assert [(one.at_s, one.calls_up, one.turns) for one in merge([fine, coarse]).series] == [
        (4.0, 60, 5),
        (8.0, 60, 6),
    ]


def test_turns_are_sampled_evenly() -> None:
    turns = [Waterfall(call="CA", turn=number) for number in range(1000)]
    assert [turn.turn for turn in sampled(turns)] == list(range(0, 1000, 5))
    assert sampled(turns[:3]) == tuple(turns[:3])
