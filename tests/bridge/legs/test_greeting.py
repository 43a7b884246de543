"""Who speaks first, on real sockets."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tests.bridge.legs.audio import tone
from tests.bridge.legs.conftest import ServeBridge, Talk
from tests.bridge.legs.phone import Phone, open_call
from tests.bridge.legs.puppet import PuppetModel, PuppetSession
from tests.bridge.legs.served import GREETING, GREETING_ULAW, ServedBridge


async def test_the_cached_greeting_comes_before_there_is_any_model(
    bridge_under_test: ServeBridge,
    silent_puppet: PuppetModel,
    stack: AsyncExitStack,
    greeting_kept: str,
) -> None:
    bridge = await bridge_under_test(silent_puppet.url, GREETING=greeting_kept)
    phone = await stack.enter_async_context(open_call(bridge))
    assert await phone.hear(len(GREETING_ULAW)) == GREETING_ULAW
    session = await silent_puppet.session()
    assert session.events == []
    await session.configure()
    await session.until(lambda: ("assistant", GREETING) in session.texts)


async def test_with_a_warm_session_the_greeting_comes_at_once_and_the_model_is_told(
    bridge_under_test: ServeBridge, puppet: PuppetModel, stack: AsyncExitStack, greeting_kept: str
) -> None:
    bridge = await bridge_under_test(puppet.url, GREETING=greeting_kept, POOL_SIZE="1")
    warm = await puppet.session()
    await warm.event("session.update")
    await bridge.pool_ready(1)
    phone = await stack.enter_async_context(open_call(bridge))
    assert await phone.hear(len(GREETING_ULAW)) == GREETING_ULAW
    await warm.until(lambda: ("assistant", GREETING) in warm.texts)
    assert bridge.watcher.of(phone.call_sid, "model_ready") != []


async def test_without_a_cached_greeting_the_model_is_asked_to_say_it(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url, GREETING=GREETING)
    phone, session = await talk(bridge)
    wanted = (await session.event("response.create"))["response"]
    assert wanted == {
        "instructions": f'Say exactly this sentence and nothing else: "{GREETING}"',
        "tool_choice": "none",
    }
    await session.speak(tone(200))
    assert await phone.hear(1600) == tone(200)


async def test_with_an_empty_greeting_nothing_is_sent_and_the_caller_speaks_first(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url, GREETING="")
    phone, session = await talk(bridge)
    await phone.say(tone(20))
    await session.frames(1)
    assert session.of("response.create") == []
    assert [role for role, _ in session.texts] in ([], ["system"])
    assert phone.received == []
    await session.speech_started()
    await session.speech_stopped()
    await session.speak(tone(100))
    assert await phone.hear(800) == tone(100)


async def greeted(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> tuple[ServedBridge, Phone, PuppetSession]:
    bridge = await bridge_under_test(puppet.url, GREETING=GREETING)
    phone, session = await talk(bridge)
    await session.until(lambda: ("assistant", GREETING) in session.texts)
    await phone.hear(len(GREETING_ULAW))
    return bridge, phone, session


async def test_of_an_interrupted_greeting_the_model_keeps_only_the_heard_words(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk, greeting_kept: str
) -> None:
    bridge, phone, session = await greeted(bridge_under_test, puppet, talk)
    await phone.reach("a0.0.greeting", "a0.200.greeting")
    await phone.press("1")  # the marks were taken
    await bridge.watcher.until(phone.call_sid, "digit")
    await session.speech_started()
    assert await phone.until("clear") == {"event": "clear", "streamSid": phone.stream_sid}
    assert (await session.event("conversation.item.delete"))["item_id"] == "greeting"
    barge_in = await bridge.watcher.until(phone.call_sid, "barge_in")
    heard_ms = barge_in.fields["heard_ms"]
    assert isinstance(heard_ms, int)
    assert 200 <= heard_ms <= 300
    words = GREETING.split()
    kept = " ".join([*words[: int(len(words) * heard_ms / 300)], "…"])
    assert session.texts[-1] == ("assistant", kept if heard_ms < 300 else GREETING)


async def test_a_greeting_that_nobody_heard_is_taken_back(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk, greeting_kept: str
) -> None:
    _, phone, session = await greeted(bridge_under_test, puppet, talk)
    before = session.texts
    await session.speech_started()
    await phone.until("clear")
    assert (await session.event("conversation.item.delete"))["item_id"] == "greeting"
    assert session.texts == before
