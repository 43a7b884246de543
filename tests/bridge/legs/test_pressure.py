"""A peer that does not read: caller audio goes first, control stays, nobody else is slowed."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tests.bridge.legs.audio import numbered, tone
from tests.bridge.legs.conftest import ServeBridge, Talk
from tests.bridge.legs.phone import Phone, taken
from tests.bridge.legs.puppet import PuppetModel, PuppetSession, serve_puppet
from tests.bridge.legs.served import ServedBridge

FILL = 20_000
"""Frames that no socket buffer of loopback takes in: more than five megabytes on the wire."""
PATIENT = {"answer_s": 60.0, "response_start_s": 60.0, "media_stall_s": 60.0, "max_reconnects": 0}
"""Nothing but the socket itself may end the call."""


async def fill(bridge: ServedBridge, phone: Phone, frames: list[bytes]) -> None:
    """The model's socket is full, and the call holds the caller's audio back."""
    await phone.say(*frames)
    await taken(bridge, phone, within_s=30)


async def in_talk(phone: Phone, session: PuppetSession, rounds: int) -> None:
    """A healthy call: words go one way, an answer the other, again and again."""
    for number in range(rounds):
        await phone.say(tone(20))
        await session.frames(number + 1)
        await session.delta(tone(20), f"item_{number}", f"resp_{number}")
        assert await phone.hear(160) == tone(20)


async def test_a_model_that_does_not_read_costs_the_oldest_audio_and_no_control_message(
    bridge_under_test: ServeBridge, talk_to: Talk, stack: AsyncExitStack
) -> None:
    puppet = await stack.enter_async_context(serve_puppet(receive_buffer_bytes=65_536))
    bridge = await bridge_under_test(puppet.url, limits=PATIENT)
    phone, session = await talk_to(bridge, puppet)
    words = numbered(FILL)
    async with session.only_talking():
        await fill(bridge, phone, words)
        await phone.press("5")
        await phone.press("#")
        await taken(bridge, phone)
    await session.until(lambda: "pressed these keys" in str(session.texts))
    await session.until(lambda: session.audio[-1] == words[-1])
    await phone.hang_up()
    await bridge.ended(phone.call_sid)
    dropped = bridge.settled[phone.call_sid].audio.dropped
    assert dropped > 0
    heard = len(session.audio)
    assert heard + dropped == FILL
    # What is lost is one piece in the middle: behind what the buffers took, before the last 300.
    assert session.audio == words[: heard - 300] + words[-300:]


async def test_a_model_that_reads_again_in_time_goes_on_with_the_call(
    bridge_under_test: ServeBridge, talk_to: Talk, stack: AsyncExitStack
) -> None:
    puppet = await stack.enter_async_context(serve_puppet(receive_buffer_bytes=65_536))
    bridge = await bridge_under_test(puppet.url, limits=PATIENT)
    phone, session = await talk_to(bridge, puppet)
    words = numbered(FILL)
    async with session.only_talking():
        await fill(bridge, phone, words)
    await session.until(lambda: session.audio[-1:] == words[-1:])
    last = tone(20, 880)
    await phone.say(last)
    await session.until(lambda: session.audio[-1] == last)
    assert bridge.watcher.of(phone.call_sid, "ended") == []


async def test_a_model_that_never_reads_again_ends_the_call_and_another_call_goes_on(
    bridge_under_test: ServeBridge, talk: Talk, puppet: PuppetModel
) -> None:
    bridge = await bridge_under_test(puppet.url, limits=PATIENT)
    phone, session = await talk(bridge)
    neighbour, healthy = await talk(bridge)
    async with session.only_talking():
        await fill(bridge, phone, numbered(30_000))
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(bridge.watcher.until(phone.call_sid, "ended", within_s=30))
            tasks.create_task(in_talk(neighbour, healthy, 50))
        assert ended.result().fields["reason"] == "model_stalled"
        await phone.closed()
    await neighbour.hang_up()
    await bridge.idle()


async def test_a_twilio_side_that_does_not_read_ends_the_call_and_another_call_goes_on(
    bridge_under_test: ServeBridge, talk: Talk, puppet: PuppetModel
) -> None:
    bridge = await bridge_under_test(puppet.url, limits=PATIENT)
    phone, session = await talk(bridge)
    neighbour, healthy = await talk(bridge)
    phone.stop_reading()
    await session.response()
    for _ in range(80):
        await session.delta(tone(10_000))
    async with asyncio.TaskGroup() as tasks:
        ended = tasks.create_task(bridge.watcher.until(phone.call_sid, "ended", within_s=30))
        tasks.create_task(in_talk(neighbour, healthy, 50))
    assert ended.result().fields["reason"] == "caller_stalled"
    await session.closed()
    await neighbour.hang_up()
    await bridge.idle()
