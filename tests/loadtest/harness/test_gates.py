"""Gates: read, judged, and refused with what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from loadtest.harness.gates import Gate, GateError, judge, never_measured, parse
from loadtest.harness.result import Judged, Result

MakeResult: TypeAlias = Callable[..., Result]


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("barge_in.p95=300ms", Gate("barge_in.p95=300ms", "barge_in", "p95", 300.0)),
        ("greeting.max=1.4s", Gate("greeting.max=1.4s", "greeting", "max", 1400.0)),
        ("lost_frames=0", Gate("lost_frames=0", "lost_frames", None, 0.0)),
        ("calls_failed.share=0.5%", Gate("calls_failed.share=0.5%", "calls_failed", "share", 0.5)),
    ],
    ids=["milliseconds", "seconds", "count", "share"],
)
def test_gates_are_read(text: str, gate: Gate) -> None:
    assert parse(text) == gate


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("barge_in", "expected NAME.p95=800ms, NAME=0 or NAME.share=1%"),
        ("barge.p95=3ms", "there is no figure 'barge'. Latencies .*barge_in.*lost_frames"),
        ("barge_in=3ms", "barge_in is a latency, expected one of barge_in.p50"),
        ("barge_in.p42=3ms", "barge_in is a latency, expected one of barge_in.p50"),
        ("barge_in.p95=300", "limit is '300', expected a time such as 800ms or 1.4s"),
        ("lost_frames=1%", "limit is '1%', expected a number such as 0"),
        ("lost_frames.p95=1ms", "is a count, expected lost_frames or lost_frames.share"),
        ("turns.share=1%", "turns is a count, expected turns$"),
        ("lost_frames.share=1", "limit is '1', expected per cent such as 1%"),
        ("lost_frames.share=101%", "limit is '101%', expected less than 100%"),
    ],
)
def test_gates_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(GateError, match=message):
        parse(text)


def test_a_latency_passes_up_to_its_limit(make_result: MakeResult) -> None:
    result = make_result({"barge_in": [100.0, 200.0]})
    assert judge(parse("barge_in.p50=101ms"), result).passed
    late = judge(parse("barge_in.max=0.15s"), result)
    assert late == Judged(
        gate="barge_in.max=0.15s",
        figure="barge_in.max",
        value=200.063,
        limit=150.0,
        unit="ms",
        passed=False,
    )


def test_counts_and_shares_are_judged(make_result: MakeResult) -> None:
    result = make_result(counts={"calls": 200, "calls_failed": 3})
    assert not judge(parse("calls_failed=2"), result).passed
    assert judge(parse("calls_failed=3"), result).passed
    share = judge(parse("calls_failed.share=1%"), result)
    assert (share.value, share.unit, share.passed) == (1.5, "%", False)


def test_what_was_not_measured_has_not_passed(make_result: MakeResult) -> None:
    result = make_result({"greeting": [5.0]})
    judged = judge(parse("uplink.p95=5ms"), result)
    assert (judged.value, judged.passed) == (None, False)
    assert judged.why == "uplink was not measured; measured were greeting"
    assert judge(parse("lost_frames=0"), result).why == (
        "lost_frames was not counted; counted were calls, turns"
    )


NOTHING = {"calls": 3, "calls_cut": 3, "turns": 0, "answers": 0, "barge_ins": 0, "frames": 900}


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        ("unanswered_turns=0", "there were no turns"),
        ("unanswered_turns.share=1%", "there were no turns"),
        ("unmarked_answers=0", "there were no answers"),
        ("lost_audio_ms=0", "there were no answers"),
        ("barge_ins_ignored=0", "there were no barge_ins"),
        ("misrouted=0", "all calls were cut short when the run was over"),
        ("not_routed.share=1%", "all calls were cut short when the run was over"),
    ],
)
def test_a_zero_of_which_there_was_nothing_to_count_has_not_passed(
    gate: str, why: str, make_result: MakeResult
) -> None:
    asked = parse(gate)
    judged = judge(asked, make_result(counts={**NOTHING, asked.name: 0}))
    assert (judged.value, judged.passed) == (None, False)
    assert judged.why == f"{asked.name} was not measured: {why}"


def test_what_was_counted_or_needs_nothing_to_count_in_is_judged(make_result: MakeResult) -> None:
    result = make_result(counts={**NOTHING, "calls_failed": 0, "not_placed": 0, "misrouted": 2})
    judged = [judge(parse(text), result) for text in ("calls_failed=0", "not_placed=0")]
    assert [one.passed for one in judged] == [True, True]
    assert judge(parse("misrouted=1"), result).value == 2


def test_gates_that_a_run_cannot_measure_are_named_before_it() -> None:
    gates = [parse("uplink.p95=5ms"), parse("turns=5")]
    assert never_measured(gates, ["turns", "greeting"]) == (
        "this run will not measure uplink; it can measure greeting, turns"
    )
    assert never_measured(gates[1:], ["turns"]) is None
