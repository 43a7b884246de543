"""The phases of a session, and what an error means to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import RemoteProtocolError
from bridge.protocol.realtime import (
    AudioDelta,
    RateLimitsUpdated,
    ServerError,
    ServerEvent,
    SessionCreated,
    SessionFailed,
    SessionPhase,
    SessionState,
    SessionUpdated,
    Severity,
    SpeechStarted,
    Unhandled,
    severity,
)

CREATED = SessionCreated("sess_1", None)
MU_LAW = SessionUpdated("audio/pcmu", "audio/pcmu", "marin")
PCM = SessionUpdated("audio/pcm", "audio/pcm", "marin")
SPEECH = SpeechStarted("item_1", 20)
DELTA = AudioDelta("resp_1", "item_2", 0, "/38A")
UNKNOWN = Unhandled("later")
LIMITS = RateLimitsUpdated(())

BEFORE: dict[SessionPhase, list[ServerEvent]] = {
    SessionPhase.AWAIT_CREATED: [],
    SessionPhase.CONFIGURING: [CREATED],
    SessionPhase.READY: [CREATED, MU_LAW],
    SessionPhase.CLOSED: [CREATED, PCM],
}


def error(
    code: str | None = None, message: str = "", param: str | None = None, kind: str = "oops"
) -> ServerError:
    return ServerError(kind, code, message, param, None)


REFUSED = error("unknown_parameter", "Unknown.", "session.temperature", "invalid_request_error")
EXPIRED = error("session_expired", kind="invalid_request_error")
NO_QUOTA = error("insufficient_quota")
BUSY = error("conversation_already_has_active_response", kind="invalid_request_error")
HICCUP = error("server_error", kind="server_error")


def state_in(phase: SessionPhase) -> SessionState:
    state = SessionState()
    for event in BEFORE[phase]:
        state.receive(event)
    assert state.phase is phase
    return state


def test_audio_waits_for_the_echo_of_mu_law_on_both_sides() -> None:
    state = SessionState()
    events: list[ServerEvent] = [CREATED, UNKNOWN, LIMITS, SPEECH, BUSY, HICCUP, MU_LAW, DELTA]
    seen = [(state.receive(event), state.ready) for event in events]
    assert seen == [(None, False)] * 6 + [(None, True)] * 2


def refused(detail: str) -> SessionFailed:
    return SessionFailed("configuration_refused", detail)


@pytest.mark.parametrize(
    ("phase", "event", "failure"),
    [
        ("configuring", REFUSED, refused("error unknown_parameter at session.temperature")),
        ("configuring", PCM, refused("session.audio.input.format.type is audio/pcm, expected")),
        (
            "configuring",
            error("new_code", kind="invalid_request_error"),
            refused("error new_code"),
        ),
        (
            "configuring",
            error(None, kind="invalid_request_error"),
            refused("error invalid_request_error"),
        ),
        ("configuring", error("what they said", param="session."), refused("error a str of 14")),
        ("configuring", EXPIRED, SessionFailed("session_over", "error session_expired")),
        ("ready", EXPIRED, SessionFailed("session_over", "error session_expired")),
        ("ready", PCM, refused("session.audio.input.format.type is audio/pcm, expected")),
        ("ready", NO_QUOTA, SessionFailed("fatal", "error insufficient_quota")),
        ("await_created", NO_QUOTA, SessionFailed("fatal", "error insufficient_quota")),
        ("await_created", REFUSED, refused("error unknown_parameter at session.temperature")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_ends_a_session_is_a_failure_with_its_reason(
    phase: str, event: ServerEvent, failure: SessionFailed
) -> None:
    state = state_in(SessionPhase(phase))
    came = state.receive(event)
    assert came is not None
    assert came.reason == failure.reason
    assert came.detail.startswith(failure.detail)
    assert state.phase is SessionPhase.CLOSED


@pytest.mark.parametrize("event", [REFUSED, BUSY, HICCUP], ids=["refused", "benign", "other"])
def test_an_error_in_a_running_session_leaves_it_running(event: ServerError) -> None:
    state = state_in(SessionPhase.READY)
    assert state.receive(event) is None
    assert state.ready


@pytest.mark.parametrize(
    ("phase", "event", "reason", "message"),
    [
        ("configuring", CREATED, "second_session", "session.created came twice"),
        ("ready", CREATED, "second_session", "session.created came twice"),
        (
            "await_created",
            MU_LAW,
            "event_before_session",
            "SessionUpdated came before session.created",
        ),
        ("await_created", DELTA, "event_before_session", "AudioDelta came before session.created"),
    ],
)
def test_an_event_out_of_place_is_refused_and_changes_nothing(
    phase: str, event: ServerEvent, reason: str, message: str
) -> None:
    state = state_in(SessionPhase(phase))
    with pytest.raises(RemoteProtocolError) as caught:
        state.receive(event)
    assert (caught.value.reason, str(caught.value)) == (reason, message)
    assert state.phase is SessionPhase(phase)


def test_what_was_on_its_way_when_the_session_closed_means_nothing() -> None:
    state = state_in(SessionPhase.READY)
    state.close()
    assert [state.receive(event) for event in (DELTA, CREATED, EXPIRED)] == [None, None, None]
    assert state.phase is SessionPhase.CLOSED


events = st.sampled_from(
    [CREATED, MU_LAW, PCM, SPEECH, DELTA, UNKNOWN, LIMITS, REFUSED, EXPIRED, BUSY, HICCUP]
)


@given(st.lists(events, max_size=12))
def test_a_session_is_never_ready_without_its_echo_and_fails_at_most_once(
    sent: list[ServerEvent],
) -> None:
    state, failures, echoed = SessionState(), 0, False
    for event in sent:
        before = state.phase
        try:
            failures += state.receive(event) is not None
        except RemoteProtocolError:
            assert state.phase is before
        else:
            echoed = echoed or event == MU_LAW
        assert echoed or not state.ready
    assert failures == (state.phase is SessionPhase.CLOSED)


SEVERITIES: list[tuple[ServerError, Severity]] = [
    (error("response_cancel_not_active"), "benign"),
    (error("conversation_already_has_active_response"), "benign"),
    (error("input_audio_buffer_commit_empty"), "benign"),
    (error("unsupported_content_type"), "benign"),
    (error("item_create_duplicate_item_id"), "benign"),
    (error("item_retrieve_invalid_item_id"), "benign"),
    (error("item_truncate_invalid_item_id"), "benign"),
    (error(None, "Audio content of 3700ms is already shorter than 3760ms"), "benign"),
    (error("invalid_value", "Audio content of 1850ms is already shorter than 2046ms"), "benign"),
    (error(None, "Only model output audio messages can be truncated"), "benign"),
    (error(None, "Cancellation failed: no active response found"), "benign"),
    (error(None, "Error committing: Expected at least 100ms of audio"), "benign"),
    (error("unknown_parameter"), "configuration"),
    (error("invalid_value"), "configuration"),
    (error("invalid_event"), "configuration"),
    (error("cannot_update_voice", param="session.audio.output.voice"), "configuration"),
    (error("session_expired"), "session_over"),
    (error("insufficient_quota"), "fatal"),
    (error("credit_balance_exhausted"), "fatal"),
    (error("invalid_api_key"), "fatal"),
    (error("invalid_request_error.invalid_api_key"), "fatal"),
    (error("invalid_request_error.beta_api_shape_disabled"), "fatal"),
    (error("account_deactivated"), "fatal"),
    (error("billing_hard_limit_reached"), "fatal"),
    (error("model_not_found"), "fatal"),
    (error("server_error", "The server had an error."), "other"),
    (error("rate_limit_exceeded"), "other"),
    (error(None), "other"),
]


@pytest.mark.parametrize(("event", "level"), SEVERITIES, ids=lambda value: str(value)[12:60])
def test_an_error_is_as_bad_as_its_code(event: ServerError, level: Severity) -> None:
    assert severity(event) == level
