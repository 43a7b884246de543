"""Audio waits for the configuration; what the caller says meanwhile is kept."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.bridge.legs.audio import numbered
from tests.bridge.legs.conftest import ServeBridge, Talk
from tests.bridge.legs.phone import open_call
from tests.bridge.legs.puppet import PuppetModel
from tests.bridge.legs.served import WAIT_S


async def test_first_words_wait_for_the_echo_and_arrive_whole_in_order(
    bridge_under_test: ServeBridge, silent_puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(silent_puppet.url)
    phone = await stack.enter_async_context(open_call(bridge))
    words = numbered(120)
    await phone.say(*words[:40])
    session = await silent_puppet.session()
    await session.created()
    await session.event("session.update")
    await phone.say(*words[40:80])
    await phone.press("1")  # everything before it has been taken by the bridge
    await bridge.watcher.until(phone.call_sid, "digit")
    assert session.audio == []
    await session.updated()
    await phone.say(*words[80:])
    assert await session.frames(120) == words


async def test_of_too_many_first_words_the_oldest_are_dropped(
    bridge_under_test: ServeBridge, silent_puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(silent_puppet.url)
    phone = await stack.enter_async_context(open_call(bridge))
    words = numbered(400)
    await phone.say(*words)
    session = await silent_puppet.session()
    await phone.press("1")
    await bridge.watcher.until(phone.call_sid, "digit")
    await session.configure()
    assert await session.frames(300) == words[100:]


async def test_the_session_is_configured_for_a_telephone_on_both_sides(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    _, session = await talk(bridge)
    wanted = (await session.event("session.update"))["session"]["audio"]
    formats = [wanted[side]["format"] for side in ("input", "output")]
    assert formats == [{"type": "audio/pcmu"}] * 2


@pytest.mark.parametrize(
    ("heard", "spoken"),
    [("audio/pcm", "audio/pcmu"), ("audio/pcmu", "audio/pcm"), (None, "audio/pcmu"), (None, None)],
    ids=["input is pcm", "output is pcm", "input is missing", "both are missing"],
)
async def test_a_wrong_echo_is_a_failure_and_no_audio_flows(
    bridge_under_test: ServeBridge,
    silent_puppet: PuppetModel,
    stack: AsyncExitStack,
    heard: str | None,
    spoken: str | None,
) -> None:
    bridge = await bridge_under_test(silent_puppet.url)
    phone = await stack.enter_async_context(open_call(bridge))
    await phone.say(*numbered(10))
    session = await silent_puppet.session()
    await session.created()
    await session.event("session.update")
    await session.updated(heard, spoken)
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "configuration_refused"
    assert (session.audio, await session.closed()) == ([], (1000, ""))
    assert "FlowEvent=return" in await bridge.after(phone.invitation)


async def test_a_refused_configuration_sends_the_call_to_today_s_flow_with_its_reason(
    bridge_under_test: ServeBridge, silent_puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(silent_puppet.url)
    phone = await stack.enter_async_context(open_call(bridge))
    session = await silent_puppet.session()
    await session.created()
    await session.event("session.update")
    await session.error("invalid_value", "Invalid value: 'audio/pcmu'.")
    assert await phone.closed() == (1000, "")
    decision = await bridge.decided(phone.call_sid)
    assert decision.reason == "assistant_failed"
    assert decision.decision["detail"] == "configuration_refused"
    assert "FlowEvent=return" in await bridge.after(phone.invitation)


async def test_a_session_that_is_never_configured_is_given_up_in_time(
    bridge_under_test: ServeBridge, silent_puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(silent_puppet.url, limits={"model_ready_s": 0.3})
    phone = await stack.enter_async_context(open_call(bridge))
    session = await silent_puppet.session()
    await session.created()
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "model_not_ready"
    assert (await session.closed())[0] in (1000, 1006)


async def test_a_model_that_cannot_be_reached_is_named(
    bridge_under_test: ServeBridge, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test("ws://127.0.0.1:9/v1/realtime")
    phone = await stack.enter_async_context(open_call(bridge))
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "model_unreachable"


async def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up_in_time(
    bridge_under_test: ServeBridge, stack: AsyncExitStack
) -> None:
    hung_up = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass
        hung_up.set()
        writer.close()

    deaf = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = deaf.sockets[0].getsockname()[1]
    limits = {"model_ready_s": 0.3}
    bridge = await bridge_under_test(f"ws://127.0.0.1:{port}/v1/realtime", limits=limits)
    phone = await stack.enter_async_context(open_call(bridge))
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "model_not_ready"
    async with asyncio.timeout(5):
        await hung_up.wait()
    deaf.close()
    await deaf.wait_closed()


async def test_a_session_that_comes_after_it_was_given_up_is_closed_at_once(
    bridge_under_test: ServeBridge, puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    """It would be billed for up to an hour."""
    bridge = await bridge_under_test(puppet.url)
    puppet.door.clear()
    phone = await stack.enter_async_context(open_call(bridge))
    async with asyncio.timeout(WAIT_S):
        await puppet.knocked.wait()
    await phone.hang_up()
    await bridge.idle()
    puppet.door.set()
    session = await puppet.session()
    await session.closed()
    assert session.events == []
