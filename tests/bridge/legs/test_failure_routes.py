"""Failures of which ``docs/failures.md`` tells and that no other file tests."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tests.bridge.legs.conftest import ServeBridge, Talk
from tests.bridge.legs.phone import open_call
from tests.bridge.legs.puppet import PuppetModel


async def test_a_model_that_refuses_the_key_is_not_asked_again(
    bridge_under_test: ServeBridge, silent_puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(silent_puppet.url)
    phone = await stack.enter_async_context(open_call(bridge))
    session = await silent_puppet.session()
    await session.error("invalid_api_key", "Incorrect API key provided.")
    await session.connection.close(3000, "invalid_request_error.invalid_api_key")
    assert await phone.closed() == (1000, "")
    decision = await bridge.decided(phone.call_sid)
    assert (decision.reason, len(silent_puppet.sessions)) == ("assistant_failed", 1)
    assert "FlowEvent=return" in await bridge.after(phone.invitation)


async def test_calls_that_outlast_the_drain_are_handed_over_with_what_is_known(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await session.send(
        "conversation.item.input_audio_transcription.completed",
        item_id="user_1",
        content_index=0,
        transcript="My basement is wet.",
    )
    await bridge.watcher.until(phone.call_sid, "caller_said")
    await bridge.switchboard.drain(0.0)
    assert await phone.closed() == (1000, "")
    decision = await bridge.decided(phone.call_sid)
    assert decision.decision["detail"] == "shutdown"
    assert "My basement is wet." in str(decision.envelope)
    assert bridge.switchboard.not_ready() == ["draining"]


async def test_while_others_accept_a_leaving_process_still_takes_who_reaches_it(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    """A socket may have been accepted in the moment before: its call is served to its end."""
    bridge = await bridge_under_test(puppet.url)
    first, _ = await talk(bridge)
    async with asyncio.TaskGroup() as tasks:
        leaving = tasks.create_task(bridge.switchboard.drain(30.0, refuse=False))
        await asyncio.sleep(0)
        second, _ = await talk(bridge)
        await first.hang_up()
        await bridge.watcher.until(first.call_sid, "legs_closed")
        assert not leaving.done()
        await second.hang_up()
    assert bridge.switchboard.live_calls == 0
    assert (await bridge.decided(second.call_sid)).reason == "caller_left"
