"""Messages in parts, on frames of the installed picows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picows import WSFrame, WSMsgType
from picows.picows import _make_test_ws_frame

from bridge.errors import RemoteProtocolError
from bridge.legs.fragments import Fragments

TEXT, CONTINUATION, BINARY = WSMsgType.TEXT, WSMsgType.CONTINUATION, WSMsgType.BINARY


def frame(kind: WSMsgType, payload: bytes, *, fin: bool = True) -> WSFrame:
    made: WSFrame = _make_test_ws_frame(kind, payload, fin, False)
    return made


def frames_of(message: bytes, cuts: list[int]) -> list[WSFrame]:
    """The message in parts, cut at these places."""
    edges = [0, *sorted(cut % (len(message) + 1) for cut in cuts), len(message)]
    parts = [message[start:end] for start, end in itertools.pairwise(edges)]
    last = len(parts) - 1
    return [frame(CONTINUATION if n else TEXT, part, fin=n == last) for n, part in enumerate(parts)]


@given(st.lists(st.tuples(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))))
def test_messages_come_out_whole_however_they_were_cut(
    messages: list[tuple[bytes, list[int]]],
) -> None:
    fragments = Fragments()
    out: list[bytes] = []
    for message, cuts in messages:
        for part in frames_of(message, cuts):
            whole = fragments.whole(part)
            if whole is not None:
                out.append(bytes(whole))
    assert out == [message for message, _ in messages]
    assert fragments.complete


def test_a_message_may_be_as_long_as_the_limit_and_no_longer() -> None:
    fragments = Fragments(limit_bytes=10)
    assert fragments.whole(frame(TEXT, b"12345", fin=False)) is None
    assert fragments.whole(frame(CONTINUATION, b"67890")) == b"1234567890"
    fragments.whole(frame(TEXT, b"12345", fin=False))
    with pytest.raises(RemoteProtocolError, match="over 10 bytes") as refused:
        fragments.whole(frame(CONTINUATION, b"678901", fin=False))
    assert refused.value.reason == "message_too_big"


@pytest.mark.parametrize(
    ("before", "wrong", "name"),
    [
        ([], frame(BINARY, b"x"), "binary"),
        ([], frame(CONTINUATION, b"x"), "continuation"),
        ([frame(TEXT, b"x", fin=False)], frame(BINARY, b"x"), "binary"),
        ([frame(TEXT, b"x", fin=False)], frame(TEXT, b"x"), "a text message inside another"),
    ],
    ids=["binary", "continuation of nothing", "binary inside a text", "text inside a text"],
)
def test_what_is_out_of_order_is_named_and_forgotten(
    before: list[WSFrame], wrong: WSFrame, name: str
) -> None:
    fragments = Fragments()
    for part in before:
        fragments.whole(part)
    with pytest.raises(RemoteProtocolError, match=f"frame is {name}, expected text"):
        fragments.whole(wrong)
    whole = fragments.whole(frame(TEXT, b"the next one"))
    assert whole is not None
    assert bytes(whole) == b"the next one"
