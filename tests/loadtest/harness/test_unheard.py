"""Calls of which nothing reached the model, and the sessions that must have been theirs."""

from __future__ import annotations

import pytest

from loadtest.harness.unheard import UnheardCall, UnheardSession, unheard_frames

CALL = UnheardCall(began=100.0, ended=110.0, frames=500)


@pytest.mark.parametrize(
    ("sessions", "lost"),
    [
        ((), 0),
        ((UnheardSession(None, 110.1),), 450),
        ((UnheardSession(None, 106.0),), 0),
        ((UnheardSession(None, None),), 0),
        ((UnheardSession(101.0, 106.0),), 250),
        ((UnheardSession(101.0, None),), 450),
        ((UnheardSession(90.0, 300.0),), 0),
    ],
    ids=[
        "no session", "closed with the stream", "closed at another time", "waits in a pool",
        "spoke, and was closed early", "spoke, and is open", "spoke before the call",
    ],
)  # fmt: skip
def test_frames_are_lost_where_a_session_served_the_call(
    sessions: tuple[UnheardSession, ...], lost: int
) -> None:
    assert unheard_frames([CALL], sessions, under_way_s=1.0) == lost


def test_a_session_serves_one_call() -> None:
    session = UnheardSession(None, 110.0)
    assert unheard_frames([CALL, CALL], [session], under_way_s=1.0) == 450
    assert unheard_frames([CALL, CALL], [session, session], under_way_s=1.0) == 900


def test_a_call_shorter_than_what_may_be_under_way_has_lost_nothing() -> None:
    call = UnheardCall(began=100.0, ended=100.0, frames=1)
    assert unheard_frames([call], [UnheardSession(None, 100.0)], under_way_s=1.0) == 0
