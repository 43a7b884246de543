"""What the terminal shows while a call runs, and the figures that are taken from it."""

from __future__ import annotations

from loadtest.demo import demo_call
from loadtest.demo.figures import Cut, TurnFigures
from tests.loadtest.demo.conftest import Stage, Value

ANSWER = "We repair leaks, clean drains, install water heaters."
TURN: dict[str, Value] = {"turn": 1, "bridge_ms": 0.2, "used_tool": False}


def answered(stage: Stage, model_ms: float, out_ms: float, **more: Value) -> None:
    """The caller asks, and is answered."""
    stage.twilio(4000, "caller_speech_started", over_assistant=False)
    stage.twilio(5500, "caller_speech_ended")
    figures = TURN | {"first_model_audio_ms": model_ms, "first_audio_out_ms": out_ms} | more
    stage.bridge(6700, "turn", **figures)
    stage.twilio(6800, "assistant_started")


def test_what_the_caller_says_is_shown_as_it_begins(schedule: Stage) -> None:
    schedule.twilio(4010, "caller_speech_started", over_assistant=False)
    schedule.twilio(9000, "caller_speech_started", over_assistant=True)
    assert schedule.lines == [
        '4.01 caller "What kind of work do you do?"',
        (
            '9.00 caller "I need someone to come and look at a slow drain in the bathroom." '
            "(over the assistant)"
        ),
    ]


def test_the_models_transcript_is_shown_only_where_it_is_something_else(schedule: Stage) -> None:
    schedule.twilio(4010, "caller_speech_started", over_assistant=False)
    schedule.bridge(6000, "caller_said", "what kind of work do you do", item="item_1")
    schedule.bridge(6100, "caller_said", "What kind of wok do you do?", item="item_1")
    assert schedule.lines[1:] == ['6.10 model understood "What kind of wok do you do?"']


def test_a_turn_is_shown_beside_its_budgets_and_as_the_ear_had_it(schedule: Stage) -> None:
    answered(schedule, 640.4, 1150.0)
    assert schedule.lines[1:] == [
        (
            "6.80 turn first model audio 640 of 800 ms, first audio out 1150 of 1400 ms "
            "(1300 ms at the ear; in the bridge 0.2 ms)"
        ),
    ]
    assert schedule.live.turns == [TurnFigures(1, 640.4, 1150.0, 0.2, False, False, 1300)]


def test_a_turn_over_its_budget_says_so(schedule: Stage) -> None:
    answered(schedule, 801.0, 1401.0, used_tool=True)
    text = " ".join(schedule.lines)
    assert "801 of 800 ms (over)" in text
    assert "1401 of 1400 ms (over)" in text
    assert "a tool call on its way" in text
    assert schedule.live.turns[0].over_budget


def test_a_turn_within_both_budgets_is_not_over() -> None:
    assert not TurnFigures(1, 800.0, 1400.0, 0.1, False).over_budget
    assert not TurnFigures(1, None, None, None, False).over_budget


def test_an_answer_heard_before_the_bridge_knows_of_it_counts_the_same(schedule: Stage) -> None:
    schedule.twilio(4000, "caller_speech_started", over_assistant=False)
    schedule.twilio(5500, "caller_speech_ended")
    schedule.twilio(6700, "assistant_started")
    schedule.bridge(6701, "turn", **TURN, first_model_audio_ms=500.0, first_audio_out_ms=1000.0)
    assert [turn.ear_ms for turn in schedule.live.turns] == [1200]


def test_a_turn_that_nobody_heard_is_told_when_the_call_ends(schedule: Stage) -> None:
    schedule.twilio(5500, "caller_speech_ended")
    schedule.bridge(6701, "turn", **TURN, first_model_audio_ms=500.0, first_audio_out_ms=1000.0)
    assert schedule.live.turns == []
    schedule.live.close(7000)
    assert [turn.ear_ms for turn in schedule.live.turns] == [None]


def test_a_barge_in_is_told_when_the_assistant_is_silent(schedule: Stage) -> None:
    schedule.bridge(7000, "assistant_said", ANSWER, item="item_2")
    schedule.twilio(9000, "caller_speech_started", over_assistant=True)
    schedule.bridge(9060, "barge_in", item="item_2", heard_ms=3000, sent_ms=6000)
    assert schedule.live.cuts == []
    schedule.twilio(9065, "assistant_stopped", cut=True)
    assert schedule.live.cuts == [Cut("item_2", 3000, 6000, 65)]
    assert schedule.lines[2:] == [
        (
            '9.06 barge-in heard 3000 ms of 6000 ms sent, up to about "… repair leaks, clean"; '
            "silent 65 ms after the caller began"
        ),
    ]


def test_an_answer_that_is_interrupted_is_shown_as_far_as_the_model_had_got() -> None:
    stage = Stage(demo_call("schedule"), {"item_2": "We repair leaks,"})
    stage.bridge(7000, "assistant_speaks", item="item_2")
    stage.twilio(9000, "caller_speech_started", over_assistant=True)
    stage.bridge(9060, "barge_in", item="item_2", heard_ms=2000, sent_ms=6000)
    stage.twilio(9065, "assistant_stopped", cut=True)
    stage.bridge(9090, "assistant_said", "", item="item_2")
    assert stage.lines == [
        '9.00 assistant "We repair leaks, …" (not finished)',
        '9.00 caller "What kind of work do you do?" (over the assistant)',
        "9.06 barge-in heard 2000 ms of 6000 ms sent; silent 65 ms after the caller began",
    ]


def test_a_barge_in_that_twilio_does_not_confirm_is_told_all_the_same(schedule: Stage) -> None:
    schedule.twilio(9000, "caller_speech_started", over_assistant=True)
    schedule.bridge(9060, "barge_in", item="item_2", heard_ms=0, sent_ms=900)
    schedule.twilio(11000, "caller_speech_ended")
    assert schedule.live.cuts == [Cut("item_2", 0, 900, None)]


def test_the_way_to_the_decision_is_shown_and_kept(schedule: Stage) -> None:
    schedule.bridge(9000, "tool_called", name="route_call")
    schedule.bridge(9001, "decided", outcome="RouteRequested")
    schedule.bridge(12000, "ended", reason="closing_heard")
    schedule.bridge(12010, "settled", route="studio_return", reason="route_requested")
    assert schedule.lines == [
        "9.00 decision the model calls route_call",
        "9.00 decision decided: RouteRequested; now the closing line",
        "12.00 bridge the conversation ends: closing_heard",
        "12.01 decision route studio_return, because of route_requested, is in the ledger",
    ]
    said = schedule.live.verdicts
    assert (said.route, said.reason, said.ended) == (
        "studio_return",
        "route_requested",
        "closing_heard",
    )
    assert said.tools == ("route_call",)


def test_a_sentence_cut_by_the_decision_is_no_barge_in(schedule: Stage) -> None:
    schedule.bridge(9000, "decided", outcome="TriggerMatched")
    schedule.twilio(9005, "assistant_stopped", cut=True)
    assert schedule.lines[1:] == ["9.01 bridge the assistant is cut in mid-sentence"]
    assert schedule.live.cuts == []


def test_documents_before_the_stream_are_named_and_later_ones_shown(schedule: Stage) -> None:
    first = "<Response><Connect><Stream /></Connect><Redirect>x</Redirect></Response>"
    schedule.twilio(10, "document", url="u", twiml=first)
    schedule.twilio(20, "stream_started", stream_sid="MZ1")
    schedule.twilio(9000, "document", url="u", twiml="<Response><Hangup /></Response>")
    assert schedule.lines == [
        "0.01 twilio the signed voice webhook answers <Connect> <Stream> <Redirect>",
        "0.02 twilio media stream open",
        "9.00 twilio asked where to go now, the bridge answers",
        "<Response>",
        "<Hangup />",
        "</Response>",
    ]


def test_the_first_mark_tells_when_the_first_audio_plays(schedule: Stage) -> None:
    schedule.twilio(20, "stream_started", stream_sid="MZ1")
    schedule.twilio(27, "mark", name="m", reached=True)
    schedule.twilio(3000, "mark", name="n", reached=True)
    assert schedule.lines[1:] == ["0.03 bridge the first audio plays 7 ms after the stream opened"]
    assert schedule.live.greeting_ms == 7


def test_what_twilio_would_log_as_an_error_is_shown_and_remarks_are_not(schedule: Stage) -> None:
    schedule.twilio(20, "notice", code=31921, severity="info", message="closed by server")
    schedule.twilio(30, "notice", code=31951, severity="error", message="no such field")
    assert schedule.lines == ["0.03 fault Twilio would log 31951: no such field"]


def test_what_seldom_happens_is_told_with_its_figures(schedule: Stage) -> None:
    schedule.bridge(1000, "limit", kind="silence")
    schedule.bridge(2000, "ending_cancelled")
    schedule.bridge(3000, "caller_speaks", item="item_1")
    assert schedule.lines == [
        "1.00 bridge a limit was reached (kind silence)",
        "2.00 bridge the caller spoke again: nothing is moved yet",
    ]
