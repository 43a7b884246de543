"""What a peer may do wrong: the right code, a named reason, and nobody else notices."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest
from structlog.typing import EventDict
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.bridge.legs.audio import numbered
from tests.bridge.legs.conftest import ServeBridge, Talk
from tests.bridge.legs.phone import Phone, open_call, open_phone, taken, upgrade_headers
from tests.bridge.legs.puppet import PuppetModel
from tests.bridge.legs.served import ServedBridge

FRAME = base64.b64encode(b"\xff" * 160).decode()
LIMIT_BYTES = 64 * 1024


@pytest.fixture
async def bridge(bridge_under_test: ServeBridge, puppet: PuppetModel) -> ServedBridge:
    return await bridge_under_test(puppet.url)


def reasons(logged: list[EventDict], event: str) -> list[str]:
    return [entry["reason"] for entry in logged if entry["event"] == event]


# --- the upgrade --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "signature_missing"),
        ({"x-twilio-signature": ""}, "signature_missing"),
        ({"x-twilio-signature": "bm90IHJpZ2h0"}, "signature_wrong"),
    ],
    ids=["missing", "empty", "wrong"],
)
async def test_an_upgrade_without_a_right_signature_is_refused(
    bridge: ServedBridge, headers: dict[str, str], reason: str, logged: list[EventDict]
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{bridge.port}/media", additional_headers=headers)
    assert refused.value.response.status_code == 403
    assert reasons(logged, "upgrade_refused") == [reason]


async def test_a_signature_for_another_address_is_refused(bridge: ServedBridge) -> None:
    headers = upgrade_headers(bridge, "wss://elsewhere.example.com/media")
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{bridge.port}/media", additional_headers=headers)
    assert refused.value.response.status_code == 403


async def test_there_is_no_socket_on_another_path(bridge: ServedBridge) -> None:
    headers = upgrade_headers(bridge, "wss://voice.example.com/other")
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{bridge.port}/other", additional_headers=headers)
    assert refused.value.response.status_code == 404


# --- the start ----------------------------------------------------------------------------------


async def refused(phone: Phone, logged: list[EventDict], code: int, reason: str) -> None:
    assert await phone.closed() == (code, reason)
    assert reasons(logged, "stream_refused") == [reason]


async def falls_back(bridge: ServedBridge, phone: Phone) -> None:
    """Twilio goes on with the action, and that leads to today's flow."""
    assert "outcome=fallback" in await bridge.after(phone.invitation)


async def test_an_unknown_token_is_refused(
    bridge: ServedBridge, stack: AsyncExitStack, logged: list[EventDict]
) -> None:
    phone = await stack.enter_async_context(open_phone(bridge))
    await phone.connected()
    await phone.start(parameters={"token": "made-up"})
    await refused(phone, logged, 1008, "unknown_token")
    await falls_back(bridge, phone)


async def test_a_call_of_ours_that_brings_no_token_is_refused(
    bridge: ServedBridge, stack: AsyncExitStack, logged: list[EventDict]
) -> None:
    phone = await stack.enter_async_context(open_phone(bridge))
    await phone.connected()
    await phone.start(parameters={})
    await refused(phone, logged, 1008, "token_missing")
    await falls_back(bridge, phone)


async def test_a_token_works_once(
    bridge: ServedBridge, stack: AsyncExitStack, logged: list[EventDict]
) -> None:
    first = await stack.enter_async_context(open_call(bridge))
    await bridge.watcher.until(first.call_sid, "model_ready")
    second = await stack.enter_async_context(open_call(bridge, first.invitation))
    await refused(second, logged, 1008, "used_token")
    await taken(bridge, first)


async def test_an_expired_token_is_refused(
    bridge: ServedBridge, stack: AsyncExitStack, logged: list[EventDict]
) -> None:
    phone = await stack.enter_async_context(open_phone(bridge))
    token = await bridge.ledger.mint_token(phone.call_sid, ttl_s=0)
    await phone.connected()
    await phone.start(parameters={"token": token})
    await refused(phone, logged, 1008, "expired_token")
    await falls_back(bridge, phone)


async def test_a_token_of_another_call_is_refused_and_stays_good_for_its_own(
    bridge: ServedBridge, stack: AsyncExitStack, logged: list[EventDict]
) -> None:
    mine, other = await bridge.dial(), await bridge.dial()
    phone = await stack.enter_async_context(open_phone(bridge, other))
    await phone.connected()
    await phone.start(parameters=mine.parameters)
    await refused(phone, logged, 1008, "call_mismatch")
    good = await stack.enter_async_context(open_call(bridge, mine))
    await bridge.watcher.until(good.call_sid, "model_ready")


async def test_a_start_of_another_account_is_refused(
    bridge: ServedBridge, stack: AsyncExitStack, logged: list[EventDict]
) -> None:
    phone = await stack.enter_async_context(open_phone(bridge))
    await phone.connected()
    await phone.start(account_sid="AC" + "b" * 32)
    await refused(phone, logged, 1008, "account_mismatch")


async def test_a_socket_that_never_starts_is_closed(
    bridge: ServedBridge, stack: AsyncExitStack, logged: list[EventDict]
) -> None:
    phone = await stack.enter_async_context(open_phone(bridge))
    await phone.connected()
    await refused(phone, logged, 1008, "start_timeout")
    await falls_back(bridge, phone)


# --- before and after the start -----------------------------------------------------------------

Misdeed: TypeAlias = Callable[[Phone], Coroutine[None, None, None]]


async def too_big(phone: Phone) -> None:
    await phone.send(phone.media("A" * LIMIT_BYTES))


async def too_big_in_fragments(phone: Phone) -> None:
    await phone.connection.send(["x" * 40_000, "y" * 40_000])


async def far_too_big(phone: Phone) -> None:
    with contextlib.suppress(ConnectionClosed):
        await phone.send(phone.media("A" * 1_000_000))


async def not_json(phone: Phone) -> None:
    await phone.connection.send('{"event": "media", "media": {')


async def not_utf8(phone: Phone) -> None:
    await phone.connection.send(b'{"event": "\xff\xfe"}', text=True)


async def not_an_object(phone: Phone) -> None:
    await phone.connection.send("[1, 2, 3]")


async def binary(phone: Phone) -> None:
    await phone.connection.send(json.dumps(phone.media(FRAME)).encode())


async def wrong_track(phone: Phone) -> None:
    await phone.send(phone.media(FRAME, track="outbound"))


async def no_payload(phone: Phone) -> None:
    await phone.send(phone.media(7))


async def started_again(phone: Phone) -> None:
    await phone.start()


async def connected_again(phone: Phone) -> None:
    await phone.connected()


MISDEEDS: list[tuple[Misdeed, int, str]] = [
    (started_again, 1008, "second_start"),
    (connected_again, 1008, "second_connected"),
    (too_big, 1009, "message_too_big"),
    (too_big_in_fragments, 1009, "message_too_big"),
    (far_too_big, 1009, "message_too_big"),
    (not_json, 1007, "bad_json"),
    (not_utf8, 1007, "bad_json"),
    (not_an_object, 1008, "bad_message"),
    (binary, 1003, "binary_frame"),
    (wrong_track, 1008, "wrong_track"),
    (no_payload, 1008, "bad_message"),
]
EACH_MISDEED = pytest.mark.parametrize(
    ("misdeed", "code", "reason"), MISDEEDS, ids=[one[0].__name__ for one in MISDEEDS]
)


@EACH_MISDEED
async def test_a_stream_that_breaks_the_protocol_is_closed_and_its_call_falls_back(
    bridge: ServedBridge,
    puppet: PuppetModel,
    talk: Talk,
    logged: list[EventDict],
    misdeed: Misdeed,
    code: int,
    reason: str,
) -> None:
    phone, session = await talk(bridge)
    await misdeed(phone)
    came = (await phone.closed())[0]
    # In the middle of sending so much a reset may overtake the close that says why.
    assert came == code or (misdeed is far_too_big and came == 1006)
    assert reasons(logged, "stream_refused") == [reason]
    assert await bridge.ended(phone.call_sid) == reason
    assert await session.closed() == (1000, "")
    assert "FlowEvent=return" in await bridge.after(phone.invitation)


@EACH_MISDEED
async def test_other_calls_notice_nothing(
    bridge: ServedBridge, talk: Talk, misdeed: Misdeed, code: int, reason: str
) -> None:
    neighbour, session = await talk(bridge)
    words = numbered(100)
    await neighbour.say(*words[:50])
    culprit, _ = await talk(bridge)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(misdeed(culprit))
        tasks.create_task(neighbour.say(*words[50:]))
    await culprit.closed()
    assert await session.frames(100) == words
    await session.speak(b"\xff" * 800)
    assert len(await neighbour.hear(800)) == 800


async def test_a_mark_or_a_stop_that_comes_twice_changes_nothing(
    bridge: ServedBridge, puppet: PuppetModel, talk: Talk, logged: list[EventDict]
) -> None:
    """Audio that comes twice is heard twice by the model, 20 ms of it."""
    phone, session = await talk(bridge)
    (word,) = numbered(1)
    await phone.say(word, word)
    assert await session.frames(2) == [word, word]
    await session.speak(b"\xff" * 800)
    last = await phone.until_mark(of="a0.100.item_1")
    await phone.reach("a0.0.item_1", "a0.0.item_1", last, last)
    await bridge.watcher.until(phone.call_sid, "assistant_heard")
    await phone.stop()
    await phone.stop()
    assert (await phone.closed())[0] in (1000, 1008)
    assert await bridge.ended(phone.call_sid) == "caller_left"
    assert (await bridge.decided(phone.call_sid)).reason == "caller_left"


@pytest.mark.parametrize("event", ["media", "mark", "dtmf", "stop"])
async def test_whatever_comes_before_the_start_closes_the_stream(
    bridge: ServedBridge, stack: AsyncExitStack, logged: list[EventDict], event: str
) -> None:
    phone = await stack.enter_async_context(open_phone(bridge))
    await phone.connected()
    messages = {
        "media": phone.media(FRAME),
        "mark": {"event": "mark", "mark": {"name": "a0.0.item_1"}},
        "dtmf": {"event": "dtmf", "dtmf": {"digit": "1"}},
        "stop": {"event": "stop", "stop": {}},
    }
    await phone.send(messages[event])
    await refused(phone, logged, 1008, f"{event}_before_start")
    await falls_back(bridge, phone)


async def test_a_stream_of_another_format_is_refused(
    bridge: ServedBridge, stack: AsyncExitStack, logged: list[EventDict]
) -> None:
    phone = await stack.enter_async_context(open_phone(bridge))
    await phone.connected()
    await phone.start(tracks=("inbound", "outbound"))
    await refused(phone, logged, 1008, "wrong_track")


@pytest.mark.parametrize(
    "payload", ["", "abc", "not base64!!", "QUJD" * 3 + "=", "A===", "\x00\x00\x00\x00", "äöüß"]
)
async def test_a_payload_that_is_not_base64_costs_only_its_frame(
    bridge: ServedBridge, talk: Talk, payload: str
) -> None:
    phone, session = await talk(bridge)
    before, after = numbered(2)
    await phone.say(before)
    await phone.send(phone.media(payload))
    await phone.say(after)
    assert await session.frames(2) == [before, after]


async def test_text_in_fragments_is_put_together(bridge: ServedBridge, talk: Talk) -> None:
    phone, session = await talk(bridge)
    words = numbered(3)
    for word in words:
        text = json.dumps(phone.media(base64.b64encode(word).decode()))
        await phone.connection.send(text[n : n + 31] for n in range(0, len(text), 31))
    assert await session.frames(3) == words


async def test_a_message_at_the_limit_is_taken(bridge: ServedBridge, talk: Talk) -> None:
    phone, session = await talk(bridge)
    room = LIMIT_BYTES - len(json.dumps(phone.media("")))
    audio = b"\x55" * (room // 4 * 3)
    await phone.send(phone.media(base64.b64encode(audio).decode()))
    assert await session.frames(1) == [audio]


async def test_an_event_that_nobody_knows_is_no_fault(bridge: ServedBridge, talk: Talk) -> None:
    phone, session = await talk(bridge)
    await phone.send({"event": "hologram", "streamSid": phone.stream_sid})
    (word,) = numbered(1)
    await phone.say(word)
    assert await session.frames(1) == [word]


async def test_no_secret_and_no_number_reaches_a_log(
    bridge: ServedBridge, talk: Talk, logged: list[EventDict]
) -> None:
    phone, _ = await talk(bridge)
    await phone.press("7")
    await taken(bridge, phone)
    await started_again(phone)
    await phone.closed()
    await bridge.idle()
    told = json.dumps(logged, default=str)
    assert phone.call_sid in told
    for secret in (phone.invitation.parameters["token"], "+15550100001", "sk-made-up"):
        assert secret not in told
