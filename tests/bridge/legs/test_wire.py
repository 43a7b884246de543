"""One port for HTTP and the media socket, and nothing compressed on either leg."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from tests.bridge.legs.audio import numbered, tone
from tests.bridge.legs.conftest import ServeBridge, Talk
from tests.bridge.legs.phone import Phone, open_call, open_phone, taken, upgrade_headers
from tests.bridge.legs.puppet import PuppetModel, serve_puppet
from tests.bridge.legs.served import ServedBridge


async def test_one_port_serves_webhooks_health_and_the_media_socket(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, _ = await talk(bridge)
    async with bridge.http.get(f"http://127.0.0.1:{bridge.port}/readyz") as answer:
        ready = await answer.json()
    assert (ready["ready"], ready["live_calls"]) == (True, 1)
    await taken(bridge, phone)


async def test_compression_is_not_agreed_to_on_twilio_s_leg_though_it_is_offered(
    bridge_under_test: ServeBridge, puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone = await stack.enter_async_context(open_phone(bridge, compression="deflate"))
    assert phone.connection.request is not None
    assert "permessage-deflate" in phone.connection.request.headers["Sec-WebSocket-Extensions"]
    assert phone.connection.response is not None
    assert "Sec-WebSocket-Extensions" not in phone.connection.response.headers
    await phone.connected()
    await phone.start()
    await phone.say(*numbered(2))
    assert await (await puppet.session()).frames(2) == numbered(2)


async def test_compression_is_not_offered_to_a_model_that_would_agree_to_it(
    bridge_under_test: ServeBridge, stack: AsyncExitStack
) -> None:
    eager = await stack.enter_async_context(serve_puppet(compression="deflate"))
    bridge = await bridge_under_test(eager.url)
    phone = await stack.enter_async_context(open_call(bridge))
    session = await eager.session()
    assert session.connection.request is not None
    assert "Sec-WebSocket-Extensions" not in session.connection.request.headers
    assert session.connection.response is not None
    assert "Sec-WebSocket-Extensions" not in session.connection.response.headers
    await phone.say(*numbered(2))
    assert await session.frames(2) == numbered(2)


async def test_the_model_is_asked_by_name_and_with_the_key(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    _, session = await talk(bridge)
    request = session.connection.request
    assert request is not None
    assert request.path == "/v1/realtime?model=gpt-realtime-2.1"
    assert request.headers["Authorization"] == "Bearer sk-made-up"


# --- the hand-over from uvicorn to picows, as installed -------------------------------------------


def upgrade_request(bridge: ServedBridge, **extra: str) -> bytes:
    headers = {
        "Host": "voice.example.com",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
        "Sec-WebSocket-Version": "13",
        **upgrade_headers(bridge),
        **extra,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET /media HTTP/1.1\r\n{lines}\r\n".encode()


async def dial_raw(bridge: ServedBridge) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", bridge.port)


async def head(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(5):
        return (await reader.readuntil(b"\r\n\r\n")).decode()


async def test_the_handed_over_socket_shakes_hands_as_the_standard_says(
    bridge_under_test: ServeBridge, puppet: PuppetModel
) -> None:
    bridge = await bridge_under_test(puppet.url)
    reader, writer = await dial_raw(bridge)
    writer.write(upgrade_request(bridge))
    answer = await head(reader)
    assert answer.startswith("HTTP/1.1 101 ")
    # SHA-1 of the key with the standard's own suffix.
    assert "Sec-WebSocket-Accept: BACScCJPNqyz+UBoqMH89VmURoA=" in answer
    writer.close()


async def test_an_upgrade_request_may_come_in_pieces_of_any_size(
    bridge_under_test: ServeBridge, puppet: PuppetModel
) -> None:
    bridge = await bridge_under_test(puppet.url)
    reader, writer = await dial_raw(bridge)
    request = upgrade_request(bridge, **{"X-Padding": "x" * 6000})
    for start in range(0, len(request), 997):
        writer.write(request[start : start + 997])
        await writer.drain()
        await asyncio.sleep(0)
    assert (await head(reader)).startswith("HTTP/1.1 101 ")
    writer.close()


async def test_a_connection_that_served_http_can_still_become_a_media_socket(
    bridge_under_test: ServeBridge, puppet: PuppetModel
) -> None:
    bridge = await bridge_under_test(puppet.url)
    reader, writer = await dial_raw(bridge)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: voice.example.com\r\n\r\n")
    answer = await head(reader)
    assert answer.startswith("HTTP/1.1 200 ")
    await reader.readexactly(int(answer.partition("content-length: ")[2].split("\r\n")[0]))
    writer.write(upgrade_request(bridge))
    assert (await head(reader)).startswith("HTTP/1.1 101 ")
    writer.close()


async def test_a_request_that_is_no_proper_upgrade_is_refused_and_leaves_nothing_waiting(
    bridge_under_test: ServeBridge, puppet: PuppetModel
) -> None:
    bridge = await bridge_under_test(puppet.url, MAX_CALLS="1")
    reader, writer = await dial_raw(bridge)
    writer.write(upgrade_request(bridge, **{"Sec-WebSocket-Key": "not a key"}))
    assert (await head(reader)).startswith("HTTP/1.1 400 ")
    writer.close()
    reader, writer = await dial_raw(bridge)
    writer.write(upgrade_request(bridge))
    assert (await head(reader)).startswith("HTTP/1.1 101 ")
    writer.close()


async def test_frames_reach_the_call_however_the_network_cuts_them(
    bridge_under_test: ServeBridge, puppet: PuppetModel
) -> None:
    bridge = await bridge_under_test(puppet.url)
    invitation = await bridge.dial()
    reader, writer = await dial_raw(bridge)
    writer.write(upgrade_request(bridge))
    await head(reader)
    words = numbered(20)
    stream = b"".join(
        Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)
        for message in script_of(invitation.call_sid, invitation.parameters, words)
    )
    for start in range(0, len(stream), 61):
        writer.write(stream[start : start + 61])
        await writer.drain()
    session = await puppet.session()
    assert await session.frames(20) == words
    writer.close()
    await bridge.ended(invitation.call_sid)


def script_of(call_sid: str, parameters: object, words: list[bytes]) -> list[dict[str, Any]]:
    start = {"callSid": call_sid, "accountSid": "AC" + "a" * 32, "customParameters": parameters}
    sid = "MZ" + "0" * 32
    return [
        {"event": "connected", "protocol": "Call", "version": "1.0.0"},
        {"event": "start", "streamSid": sid, "start": {**start, "streamSid": sid}},
        *(
            {
                "event": "media",
                "streamSid": sid,
                "media": {"track": "inbound", "payload": base64.b64encode(word).decode()},
            }
            for word in words
        ),
    ]


async def test_large_and_small_messages_stay_in_order_towards_a_slow_reader(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    """picows writes large server messages in two pieces: they must not be torn by what follows."""
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    phone.stop_reading()
    await session.response()
    parts = [tone(2000 + number, 400 + number) for number in range(60)]
    for number, part in enumerate(parts):
        await session.delta(part, f"item_{number}")
    await session.send(
        "conversation.item.input_audio_transcription.failed", item_id="user_0", error={}
    )
    await bridge.watcher.until(phone.call_sid, "transcript_failed")
    phone.start_reading()
    assert await phone.hear(len(b"".join(parts))) == b"".join(parts)


# --- the close ------------------------------------------------------------------------------------


async def refused_raw(bridge: ServedBridge) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A socket that the bridge has sent its close on, read to there."""
    reader, writer = await dial_raw(bridge)
    writer.write(upgrade_request(bridge))
    await head(reader)
    writer.write(Frame(Opcode.TEXT, b"not JSON").serialize(mask=True))
    close = Frame(Opcode.CLOSE, b"\x03\xef" + b"bad_json").serialize(mask=False)
    async with asyncio.timeout(5):
        assert await reader.readexactly(len(close)) == close
    return reader, writer


async def test_the_bridge_waits_for_the_answer_to_its_close_before_it_hangs_up(
    bridge_under_test: ServeBridge, puppet: PuppetModel
) -> None:
    """Hanging up at once resets the line while the peer still sends, and the close may be lost."""
    bridge = await bridge_under_test(puppet.url)
    reader, writer = await refused_raw(bridge)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await reader.read(1)
    writer.write(Frame(Opcode.CLOSE, b"\x03\xef").serialize(mask=True))
    async with asyncio.timeout(10):
        assert await reader.read(1) == b""
    writer.close()


async def test_a_peer_that_does_not_answer_the_close_is_cut_off(
    bridge_under_test: ServeBridge, puppet: PuppetModel
) -> None:
    bridge = await bridge_under_test(puppet.url)
    reader, writer = await refused_raw(bridge)
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read(1) == b""
    writer.close()


# --- capacity -------------------------------------------------------------------------------------


async def test_past_its_capacity_a_process_refuses_the_upgrade(
    bridge_under_test: ServeBridge, puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(puppet.url, MAX_CALLS="2")
    phones: list[Phone] = [await stack.enter_async_context(open_phone(bridge)) for _ in range(2)]
    reader, writer = await dial_raw(bridge)
    writer.write(upgrade_request(bridge))
    assert (await head(reader)).startswith("HTTP/1.1 503 ")
    writer.close()
    await phones[0].connection.close()
    await stack.enter_async_context(
        connect(f"ws://127.0.0.1:{bridge.port}/media", additional_headers=upgrade_headers(bridge))
    )
