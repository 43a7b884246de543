"""Nobody pays for both ends: the model's socket is closed before the call moves."""

from __future__ import annotations

import pytest

from loadtest.twilio import CallResult, HangUp, Press, StayOnLine, Step, WaitForStream, WaitMs
from tests.bridge.e2e.conftest import Start
from tests.bridge.e2e.system import FILE, TURN, System, model, routes_to

WITH_LAST_WORDS = (
    FILE.read_text(encoding="utf-8")
    .replace('closing = ""', 'closing = "One moment please."')
    .replace('goodbye = ""\n\n[limits]', 'goodbye = "Goodbye."\n\n[limits]')
)


def overlap_s(system: System, call: CallResult) -> float:
    """By the clocks of both simulators, which is one clock: below 0 the model was gone first."""
    (stream,) = call.streams
    (session,) = system.realtime.sessions
    assert stream.ended is not None
    assert session.ending is not None
    return session.ending.at_s - stream.ended


@pytest.mark.parametrize("intent", ["schedule", "billing", "faq", "boss"])
async def test_the_model_is_gone_before_the_stream_ends(start: Start, intent: str) -> None:
    system = await start(model(routes_to(intent)), file=WITH_LAST_WORDS)
    call = await system.call()
    assert overlap_s(system, call) <= 0
    assert await measured(system) == 0.0


@pytest.mark.parametrize("key", ["0", "1"])
async def test_a_key_closes_the_model_first_too(start: Start, key: str) -> None:
    system = await start(model("long"), file=WITH_LAST_WORDS)
    steps: tuple[Step, ...] = (WaitForStream(), TURN, WaitMs(200), Press(key), StayOnLine(20_000))
    call = await system.call(*steps)
    assert overlap_s(system, call) <= 0
    assert await measured(system) == 0.0


async def test_after_a_caller_who_hangs_up_the_model_is_gone_within_moments(start: Start) -> None:
    system = await start(model("long"))
    call = await system.call(WaitForStream(), TURN, WaitMs(300), HangUp())
    assert overlap_s(system, call) < 1.0
    assert await measured(system) < 1000.0


async def measured(system: System) -> float:
    """What the bridge itself noted."""
    note = await system.noted("legs_closed")
    overlap_ms = note.fields["overlap_ms"]
    assert isinstance(overlap_ms, float)
    return overlap_ms
