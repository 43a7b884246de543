"""Whether a call arrived where it has to, and whether it got there as it should."""

from __future__ import annotations

import pytest

from loadtest.demo import Destination, demo_call
from loadtest.demo.figures import Cut, Verdicts
from loadtest.demo.player import described, destination, faults_of
from loadtest.realtime import SessionRecord
from loadtest.twilio import (
    CallerHungUp,
    Code,
    FlexTask,
    Hangup,
    Notice,
    Outcome,
    Severity,
    StudioReturn,
)
from tests.loadtest.demo.conftest import Stage, result

FLOW = "FW" + "0" * 32
RETURNED = StudioReturn(FLOW, {"intent": "schedule", "queue": "scheduling"})


def task(queue_result: str = "bridged") -> FlexTask:
    attributes = {"intent": "billing", "queue": "billing"}
    return FlexTask("WT1", "WW1", attributes, attributes, 30, 1800, queue_result)


@pytest.mark.parametrize(
    ("outcome", "route", "expected"),
    [
        (RETURNED, "studio_return", Destination("studio", "schedule", "scheduling")),
        (StudioReturn(FLOW, {}), "studio_return", Destination("studio")),
        (task(), "flex", Destination("flex", "billing", "billing")),
        (task("queue-full"), "flex", None),
        (Hangup(), "resolve", Destination("resolved")),
        (Hangup(), None, None),
        (CallerHungUp("time over"), "resolve", None),
    ],
    ids=["studio", "bare", "flex", "refused", "resolved", "hung up", "caller gone"],
)
def test_places_are_named_as_twilio_saw_them(
    outcome: Outcome, route: str | None, expected: Destination | None
) -> None:
    assert destination(outcome, Verdicts(route=route)) == expected


def went_well(stage: Stage) -> Stage:
    stage.live.verdicts = Verdicts("studio_return", "route_requested", "closing_heard")
    stage.live.cuts.append(Cut("item_1", 2000, 9000, 70))
    return stage


def test_a_call_that_went_as_it_has_to_has_no_faults(schedule: Stage) -> None:
    live = went_well(schedule).live
    assert list(faults_of(schedule.call, result(RETURNED), live, None)) == []


def test_the_wrong_place_is_a_fault(schedule: Stage) -> None:
    live = went_well(schedule).live
    assert list(faults_of(schedule.call, result(task()), live, None)) == [
        f"expected {schedule.call.expected}, got Flex, intent billing, queue billing"
    ]


def test_no_place_at_all_is_a_fault_that_names_what_happened(schedule: Stage) -> None:
    live = went_well(schedule).live
    (fault,) = faults_of(schedule.call, result(CallerHungUp("time over")), live, None)
    assert "got elsewhere: CallerHungUp(reason='time over')" in fault


def test_a_closing_line_that_was_not_heard_out_is_a_fault(schedule: Stage) -> None:
    live = went_well(schedule).live
    live.verdicts.ended = "closing_timeout"
    assert list(faults_of(schedule.call, result(RETURNED), live, None)) == [
        "the closing line was not heard to its end: closing_timeout"
    ]


def test_an_assistant_that_talks_on_is_a_fault(schedule: Stage) -> None:
    live = went_well(schedule).live
    live.cuts.clear()
    assert list(faults_of(schedule.call, result(RETURNED), live, None)) == [
        "the caller spoke over the assistant, which was not interrupted"
    ]


def test_what_either_peer_complains_of_is_a_fault(schedule: Stage) -> None:
    live = went_well(schedule).live
    notice = Notice(Code.STREAM_INVALID_MESSAGE, Severity.ERROR, "extra field", 10)
    session = SessionRecord(0, "sess_1", "gpt-realtime-2.1", "demo", 0.0, keep_events=True)
    session.fault(1.0, "wrong_format", "mu-law where PCM was configured")
    ended = result(RETURNED, notices=[notice])
    assert list(faults_of(schedule.call, ended, live, session)) == [
        "Twilio would log 31951: extra field",
        "the model was told something wrong: wrong_format (mu-law where PCM was configured)",
    ]


def test_what_twilio_knows_of_the_call_is_told() -> None:
    assert described(RETURNED, Verdicts()) == (
        f"back in Studio, flow {FLOW}",
        {"intent": "schedule", "queue": "scheduling"},
    )
    assert described(task(), Verdicts())[0] == "in Flex with task WT1, priority 30: bridged"
    assert demo_call("question").expected == destination(Hangup(), Verdicts(route="resolve"))
