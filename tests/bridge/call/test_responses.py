"""One response at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.call.responses import ResponseSequencer
from bridge.protocol.realtime import CreateResponse

WISH = CreateResponse("Say something.", "none", None, {"purpose": "closing"})


def sent(number: int) -> CreateResponse:
    return CreateResponse("Say something.", "none", f"create_{number}", {"purpose": "closing"})


def test_a_wish_is_sent_at_once_when_the_model_is_free_and_only_once() -> None:
    responses = ResponseSequencer()
    responses.owe(WISH)
    assert responses.due() == sent(1)
    assert responses.due() is None


def test_a_wish_waits_for_the_running_response() -> None:
    responses = ResponseSequencer()
    responses.started("resp_1")
    responses.owe(WISH)
    assert responses.due() is None
    responses.done("resp_1")
    assert responses.due() == sent(1)


def test_a_wish_waits_while_the_caller_speaks_and_until_the_server_has_answered() -> None:
    responses = ResponseSequencer(caller_speaking=True)
    responses.owe(WISH)
    assert responses.due() is None
    responses.caller_speaking, responses.awaiting_automatic = False, True
    assert responses.due() is None
    assert responses.started("resp_1") is None
    responses.done("resp_1")
    assert responses.due() == sent(1)


def test_the_newest_wish_replaces_an_older_one() -> None:
    responses = ResponseSequencer()
    responses.owe(CreateResponse("Old."))
    responses.owe(WISH)
    assert responses.due() == sent(1)


def test_a_response_that_begins_is_taken_for_the_one_that_was_asked_for() -> None:
    responses = ResponseSequencer()
    responses.owe(WISH)
    responses.due()
    assert responses.started("resp_1") == sent(1)
    assert responses.started("resp_2") is None


def test_a_refused_request_is_owed_again() -> None:
    responses = ResponseSequencer()
    responses.owe(WISH)
    responses.due()
    assert responses.refused("create_1")
    assert responses.due() == sent(2)


def test_a_refusal_after_another_response_began_tells_them_apart() -> None:
    responses = ResponseSequencer()
    responses.owe(WISH)
    responses.due()
    responses.started("resp_auto")
    assert responses.refused("create_1")
    assert responses.due() is None
    responses.done("resp_auto")
    assert responses.due() == sent(2)


def test_a_refusal_of_somebody_elses_request_changes_nothing() -> None:
    responses = ResponseSequencer()
    responses.owe(WISH)
    responses.due()
    assert not responses.refused("other_1")
    assert responses.started("resp_1") == sent(1)
    assert not responses.refused(None)


def test_a_newer_wish_survives_the_refusal_of_an_older_one() -> None:
    responses = ResponseSequencer()
    responses.owe(CreateResponse("Old."))
    responses.due()
    responses.owe(WISH)
    responses.refused("create_1")
    assert responses.due() == sent(2)


def test_the_end_of_another_response_does_not_free_the_model() -> None:
    responses = ResponseSequencer()
    responses.started("resp_2")
    responses.done("resp_1")
    assert responses.active_id == "resp_2"


def test_nothing_is_left_of_a_lost_session() -> None:
    responses = ResponseSequencer()
    responses.owe(WISH)
    responses.due()
    responses.started("resp_1")
    responses.owe(WISH)
    responses.lost()
    assert responses == ResponseSequencer(_count=1)


STEPS = st.sampled_from(["owe", "due", "started", "done", "refused", "speaks", "stops"])


@given(st.lists(STEPS, max_size=40))
def test_never_two_responses_at_once(steps: list[str]) -> None:
    """Whatever comes in whatever order: nothing is asked for while something runs or was asked."""
    responses = ResponseSequencer()
    for step in steps:
        running = responses.active_id is not None or responses.requested is not None
        match step:
            case "owe":
                responses.owe(WISH)
            case "due":
                assert responses.due() is None or not running
            case "started":
                responses.started("resp")
            case "done":
                responses.done("resp")
            case "refused":
                responses.refused(None)
            case "speaks":
                responses.caller_speaking = True
            case _:
                responses.caller_speaking = False


def test_a_wish_that_comes_behind_the_end_of_speech_outlives_the_servers_own_answer() -> None:
    """The server began it before our output reached it."""
    responses = ResponseSequencer(awaiting_automatic=True)
    responses.owe(WISH)
    responses.started("resp_1")
    responses.answered_unasked()
    responses.done("resp_1")
    assert responses.due() == sent(1)


def test_a_wish_from_before_the_end_of_speech_is_met_by_the_servers_own_answer() -> None:
    responses = ResponseSequencer(caller_speaking=True)
    responses.owe(WISH)
    responses.caller_speaking, responses.awaiting_automatic = False, True
    responses.started("resp_1")
    responses.answered_unasked()
    responses.done("resp_1")
    assert responses.due() is None
