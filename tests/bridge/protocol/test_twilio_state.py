"""The order of messages on Twilio's socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import RemoteProtocolError
from bridge.protocol.twilio_stream import (
    Connected,
    Dtmf,
    Mark,
    Media,
    Message,
    Start,
    Stop,
    StreamPhase,
    StreamState,
    Unhandled,
)

CONNECTED = Connected("Call", "1.0.0")
START = Start("MZ1", "AC1", "CA1", ("inbound",), "audio/x-mulaw", 8000, 1, {})
MEDIA = Media("/38A", 20, 1)
DTMF = Dtmf("1")
MARK = Mark("a0.20.item_1")
STOP = Stop("CA1")
UNKNOWN = Unhandled("later")

BEFORE: dict[StreamPhase, list[Message]] = {
    StreamPhase.AWAIT_CONNECTED: [],
    StreamPhase.AWAIT_START: [CONNECTED],
    StreamPhase.STREAMING: [CONNECTED, START],
    StreamPhase.STOPPED: [CONNECTED, START, STOP],
}


def state_in(phase: StreamPhase) -> StreamState:
    state = StreamState()
    for message in BEFORE[phase]:
        state.receive(message)
    assert state.phase is phase
    return state


def test_a_call_goes_from_connected_to_stop() -> None:
    state = StreamState()
    messages: list[Message] = [CONNECTED, START, MEDIA, DTMF, MARK, UNKNOWN, STOP]
    assert [state.receive(message).value for message in messages] == [
        "await_start",
        "streaming",
        "streaming",
        "streaming",
        "streaming",
        "streaming",
        "stopped",
    ]


def test_connected_may_be_missing() -> None:
    assert StreamState().receive(START) is StreamPhase.STREAMING


@pytest.mark.parametrize("phase", list(StreamPhase))
def test_media_may_pass_unasked_only_while_streaming(phase: StreamPhase) -> None:
    assert state_in(phase).streaming is (phase is StreamPhase.STREAMING)


@pytest.mark.parametrize(
    ("phase", "message", "reason", "error"),
    [
        ("streaming", START, "second_start", "start came twice"),
        ("await_start", CONNECTED, "second_connected", "connected came twice"),
        ("streaming", CONNECTED, "second_connected", "connected came twice"),
        ("await_connected", MEDIA, "media_before_start", "media came before start"),
        ("await_start", MEDIA, "media_before_start", "media came before start"),
        ("await_start", DTMF, "dtmf_before_start", "dtmf came before start"),
        ("await_start", MARK, "mark_before_start", "mark came before start"),
        ("await_start", STOP, "stop_before_start", "stop came before start"),
        ("stopped", MEDIA, "after_stop", "media came after stop"),
        ("stopped", START, "after_stop", "start came after stop"),
        ("stopped", STOP, "after_stop", "stop came after stop"),
        ("stopped", UNKNOWN, "after_stop", "unknown came after stop"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_message_out_of_place_is_refused_and_changes_nothing(
    phase: str, message: Message, reason: str, error: str
) -> None:
    state = state_in(StreamPhase(phase))
    with pytest.raises(RemoteProtocolError) as caught:
        state.receive(message)
    assert (caught.value.reason, str(caught.value)) == (reason, error)
    assert state.phase is StreamPhase(phase)


messages = st.sampled_from([CONNECTED, START, MEDIA, DTMF, MARK, STOP, UNKNOWN])


@given(st.lists(messages, max_size=12))
def test_whatever_comes_there_is_one_start_and_nothing_after_stop(sent: list[Message]) -> None:
    state, taken = StreamState(), list[Message]()
    for message in sent:
        before = state.phase
        try:
            state.receive(message)
        except RemoteProtocolError:
            assert state.phase is before
        else:
            taken.append(message)
    assert taken.count(START) <= 1
    assert STOP not in taken[:-1]
    assert all(taken.index(START) < taken.index(m) for m in (MEDIA, MARK, STOP) if m in taken)
