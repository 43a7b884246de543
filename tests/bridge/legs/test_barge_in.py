"""The caller speaks while the assistant does."""

from __future__ import annotations

import asyncio

from loadtest.realtime import Scenario, SimulatorOptions
from loadtest.realtime.scenario import Say, Step
from loadtest.twilio import CallScript, Clip, HangUp, InterruptAfterMs, Speak, WaitMs
from tests.bridge.legs.audio import tone
from tests.bridge.legs.conftest import ServeBridge, SimulatedCall, Talk
from tests.bridge.legs.phone import Phone, taken
from tests.bridge.legs.puppet import PuppetModel, PuppetSession
from tests.bridge.legs.served import ServedBridge


async def speaking(
    bridge: ServedBridge, phone: Phone, session: PuppetSession, *, generated: bool
) -> None:
    """Three seconds of the assistant, of which the first was heard."""
    await session.response()
    for _ in range(3):
        await session.delta(tone(1000))
    if generated:
        await session.audio_done()
        await session.done()
    await phone.until_mark(of="a0.3000.item_1")
    await phone.reach("a0.0.item_1", "a0.1000.item_1")
    await taken(bridge, phone)


async def test_barge_in_after_generation_ended_clears_and_truncates_at_what_was_heard(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await speaking(bridge, phone, session, generated=True)
    await session.speech_started()
    assert await phone.until("clear") == {"event": "clear", "streamSid": phone.stream_sid}
    truncate = await session.event("conversation.item.truncate")
    assert (truncate["item_id"], truncate["content_index"]) == ("item_1", 0)
    assert 1000 <= truncate["audio_end_ms"] < 3000
    noted = await bridge.watcher.until(phone.call_sid, "barge_in")
    assert noted.fields == {
        "item": "item_1",
        "heard_ms": truncate["audio_end_ms"],
        "sent_ms": 3000,
    }
    assert session.of("response.cancel") == []


async def test_late_audio_of_the_interrupted_response_is_not_played(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await speaking(bridge, phone, session, generated=False)
    await session.speech_started()
    await session.delta(tone(500, 880))
    await session.done(status="cancelled")
    await session.speech_stopped()
    await session.speak(tone(200, 660), "item_2", "resp_2")
    await phone.until("clear")
    assert await phone.hear(1600) == tone(200, 660)


async def test_marks_that_come_back_because_of_the_clear_are_not_taken_for_heard(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await speaking(bridge, phone, session, generated=False)
    await session.speech_started()
    await phone.until("clear")
    await session.done(status="cancelled")
    await session.speech_stopped()
    await session.response("resp_2")
    await session.delta(tone(2000), "item_1", "resp_2")
    await phone.until_mark(of="a1.2000.item_1")
    await phone.reach("a0.2000.item_1", "a0.3000.item_1")
    await taken(bridge, phone)
    assert bridge.watcher.of(phone.call_sid, "assistant_heard") == []
    await session.speech_started("user_2")
    assert (await session.event("conversation.item.delete"))["item_id"] == "item_1"
    assert len(session.of("conversation.item.truncate")) == 1


async def test_items_that_were_never_heard_are_deleted(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await session.response()
    await session.delta(tone(300), "item_1")
    await session.delta(tone(200), "item_1")
    await session.audio_done("item_1")
    await session.delta(tone(500), "item_2")
    await phone.until_mark(of="a0.500.item_2")
    await phone.reach("a0.0.item_1", "a0.300.item_1")
    await taken(bridge, phone)
    await session.speech_started()
    assert (await session.event("conversation.item.truncate"))["item_id"] == "item_1"
    assert (await session.event("conversation.item.delete"))["item_id"] == "item_2"


async def test_the_time_from_barge_in_to_clear_is_measured(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await speaking(bridge, phone, session, generated=True)
    await session.speech_started()
    await phone.until("clear")
    await phone.hang_up()
    await bridge.ended(phone.call_sid)
    session_of_call = bridge.settled[phone.call_sid].session
    assert session_of_call is not None
    (measured_ms,) = session_of_call.turns.barge_in_to_clear_ms
    assert 0 < measured_ms < 1000


LONG = Scenario("long", (Step("turn", (Say(("long",)),)), Step("otherwise", (Say(("short",)),))))


async def test_the_model_is_told_what_the_caller_really_heard(
    simulated_call: SimulatedCall,
) -> None:
    """Between two independent simulators: the ear of one and the record of the other."""
    interrupting = CallScript(
        steps=[
            Speak(Clip.of(tone(400))),
            InterruptAfterMs(700),
            Speak(Clip.of(tone(300, 880))),
            WaitMs(300),
            HangUp(),
        ]
    )
    options = SimulatorOptions(scenario=LONG, profile="instant")
    call = await simulated_call(interrupting, options)
    (truncation,) = call.record.truncations
    (barge_in,) = call.result.barge_ins
    started = next(e.at_ms for e in call.result.timeline if e.kind == "assistant_started")
    assert barge_in.cut
    assert barge_in.silent_ms is not None
    heard_ms = barge_in.silent_ms - started
    assert abs(truncation.audio_end_ms - heard_ms) <= 60
    assert truncation.generated_ms >= 3000
    assert call.record.faults == []
    assert call.result.errors == ()


async def test_two_calls_at_once_are_interrupted_each_by_its_own_caller(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    first, second = await talk(bridge), await talk(bridge)
    for phone, session in (first, second):
        await speaking(bridge, phone, session, generated=True)
    await first[1].speech_started()
    await first[0].until("clear")
    await taken(bridge, second[0])
    async with asyncio.timeout(5):
        await second[1].speak(tone(100), "item_2", "resp_2")
        await second[0].hear(800)
    assert second[0].of("clear") == []
    assert second[1].of("conversation.item.truncate") == []
