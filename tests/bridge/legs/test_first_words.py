"""Audio waits for the configuration; the first words are kept."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tests.bridge.legs.audio import numbered
from tests.bridge.legs.conftest import ServeBridge
from tests.bridge.legs.phone import open_call
from tests.bridge.legs.puppet import PuppetModel


async def test_first_words_are_kept_until_the_session_is_configured_and_arrive_whole_in_order(
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
    assert session.audio == []
    await session.updated()
    await phone.say(*words[80:])
    assert await session.frames(120) == words
