"""The closing line is heard, the model goes first, and only then the call moves."""

from __future__ import annotations

import json
import time

from bridge.legs.model_leg import ANSWER_S
from loadtest.realtime import Scenario, SimulatorOptions
from loadtest.realtime.scenario import CallTool, Say, Step
from loadtest.twilio import CallScript, Clip, Speak, StayOnLine, StreamEnd, StudioReturn
from tests.bridge.legs.audio import tone
from tests.bridge.legs.conftest import ServeBridge, SimulatedCall, Talk
from tests.bridge.legs.phone import Phone, taken
from tests.bridge.legs.puppet import ROUTE, PuppetModel, PuppetSession

CLOSING = tone(1000, 550)


async def closing(phone: Phone, session: PuppetSession) -> str:
    """The model decides and says the closing line. The name of its terminal mark."""
    await session.speech_started()
    await session.speech_stopped()
    await session.decide()
    wish = await session.event("response.create")
    assert wish["response"]["metadata"] == {"purpose": "closing"}
    await session.speak(CLOSING, "item_2", "resp_2")
    assert await phone.hear(len(CLOSING)) == CLOSING
    return await phone.until_mark(of="end")


async def test_the_stream_ends_only_when_the_closing_line_was_heard(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    terminal = await closing(phone, session)
    await phone.reach("a0.0.item_2", "a0.1000.item_2")
    await taken(bridge, phone)
    assert bridge.watcher.of(phone.call_sid, "ended") == []
    await phone.reach(terminal)
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "closing_heard"


async def test_the_decision_is_written_before_the_stream_ends(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await phone.reach(await closing(phone, session))
    await phone.closed()
    decision = await bridge.ledger.decision(phone.call_sid)
    assert decision is not None
    assert (decision.route, decision.intent) == ("studio_return", "general")
    assert "intent=general" in await bridge.after(phone.invitation)


async def test_the_wait_for_the_closing_line_is_bounded(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url, limits={"closing_margin_s": 0.1})
    phone, session = await talk(bridge)
    await closing(phone, session)
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "closing_timeout"
    assert "intent=general" in await bridge.after(phone.invitation)


async def test_a_closing_line_that_never_begins_does_not_hold_the_call(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url, limits={"closing_start_s": 0.1})
    phone, session = await talk(bridge)
    await session.speech_started()
    await session.speech_stopped()
    await session.decide()
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "closing_timeout"
    assert "intent=general" in await bridge.after(phone.invitation)


async def test_the_caller_speaking_again_cancels_the_ending(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    terminal = await closing(phone, session)
    await phone.reach("a0.0.item_2")
    await taken(bridge, phone)
    await session.speech_started("user_2")
    await phone.until("clear")
    await session.until(lambda: "Nothing has been transferred" in str(session.texts))
    await phone.reach("a0.1000.item_2", terminal)
    await session.speech_stopped("user_2")
    await session.speak(tone(100), "item_3", "resp_3")
    assert await phone.hear(800) == tone(100)
    assert bridge.watcher.of(phone.call_sid, "ended") == []


async def test_a_cancelled_ending_can_be_decided_anew(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await closing(phone, session)
    await session.speech_started("user_2")
    await session.speech_stopped("user_2")
    await session.decide("resp_3", "call_3")
    await session.event("response.create", 2)
    await session.speak(tone(200), "item_4", "resp_4")
    await phone.until("clear")
    await phone.reach(await phone.until_mark(of="end"))
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "closing_heard"


async def test_the_model_s_socket_is_gone_before_twilio_s_closes(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    """Measured at both of their ends, and by the bridge itself: no overlap."""
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await phone.reach(await closing(phone, session))
    await phone.closed()
    assert await session.closed() == (1000, "")
    await bridge.idle()
    assert session.closed_at is not None
    assert phone.closed_at is not None
    assert session.closed_at < phone.closed_at
    call = bridge.settled[phone.call_sid]
    assert call.model_closed_at is not None
    assert call.stream_closed_at is not None
    assert call.model_closed_at <= call.stream_closed_at
    assert call.overlap_ms == 0.0


async def test_a_model_that_does_not_answer_the_close_is_cut_off_first(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    terminal = await closing(phone, session)
    session.stop_reading()
    heard_at = time.monotonic()
    await phone.reach(terminal)
    assert await phone.closed() == (1000, "")
    await bridge.idle()
    assert phone.closed_at is not None
    assert phone.closed_at - heard_at >= ANSWER_S - 0.05
    assert bridge.settled[phone.call_sid].overlap_ms == 0.0
    session.start_reading()
    assert (await session.closed())[0] in (1000, 1006)


DECIDES = Scenario(
    "decides",
    (
        Step("turn", (CallTool("route_call", ROUTE),)),
        Step("tool_output", (Say(("closing",)),)),
        Step("otherwise", (Say(("closing",)),)),
    ),
)


async def test_between_the_simulators_the_caller_hears_all_of_it_and_nothing_overlaps(
    simulated_call: SimulatedCall,
) -> None:
    call = await simulated_call(
        CallScript(steps=[Speak(Clip.of(tone(300))), StayOnLine(15_000)]),
        SimulatorOptions(scenario=DECIDES, profile="instant"),
    )
    (stream,) = call.result.streams
    assert isinstance(call.result.outcome, StudioReturn)
    assert call.result.outcome.params["intent"] == "general"
    assert (stream.end, stream.close_code, stream.cut_ms) == (StreamEnd.CLOSED_BY_SERVER, 1000, 0)
    assert stream.audio_bytes_received > 0
    assert call.record.ending is not None
    assert stream.ended is not None
    assert (call.record.ending.by, call.record.ending.code) == ("client", 1000)
    assert call.record.ending.at_s <= stream.ended
    assert json.loads(call.record.tool_outputs[0].output) == {"ok": True}
    assert (call.record.faults, call.result.errors) == ([], ())
