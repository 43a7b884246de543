"""Responses, tools and keys on real sockets."""

from __future__ import annotations

import json

import pytest

from tests.bridge.legs.audio import tone
from tests.bridge.legs.conftest import ServeBridge, Talk
from tests.bridge.legs.phone import Phone, taken
from tests.bridge.legs.puppet import PuppetModel, PuppetSession
from tests.bridge.legs.served import ServedBridge


async def asked(session: PuppetSession) -> None:
    """The caller has said something."""
    await session.speech_started()
    await session.speech_stopped()


async def in_step(bridge: ServedBridge, phone: Phone, session: PuppetSession) -> None:
    """Everything that the model has sent so far has been taken by the call."""
    before = len(bridge.watcher.of(phone.call_sid, "transcript_failed"))
    await session.send(
        "conversation.item.input_audio_transcription.failed", item_id="user_0", error={}
    )
    await bridge.watcher.until(phone.call_sid, "transcript_failed", before + 1)


# --- what the assistant says --------------------------------------------------------------------


async def test_several_audio_items_of_one_response_are_played_whole_in_order(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    phone, session = await talk(await bridge_under_test(puppet.url))
    await session.response()
    parts = [tone(330, 440), tone(71, 550), tone(400, 660)]
    for number, part in enumerate(parts):
        await session.delta(part[:700], f"item_{number}")
        await session.delta(part[700:], f"item_{number}")
        await session.audio_done(f"item_{number}")
    await session.done()
    assert await phone.hear(len(b"".join(parts))) == b"".join(parts)
    await phone.until_mark(of="item_2")
    assert phone.marks == [
        *("a0.0.item_0", "a0.87.item_0", "a0.330.item_0"),
        *("a0.0.item_1", "a0.71.item_1"),
        *("a0.0.item_2", "a0.87.item_2", "a0.400.item_2"),
    ]
    assert all(message["media"]["payload"] for message in phone.of("media"))


async def test_a_delta_of_several_seconds_is_passed_on_whole(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    phone, session = await talk(await bridge_under_test(puppet.url))
    await session.speak(tone(20_000))
    assert await phone.hear(160_000) == tone(20_000)


async def test_audio_that_is_not_base64_costs_only_itself(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    phone, session = await talk(await bridge_under_test(puppet.url))
    await session.response()
    await session.send(
        "response.output_audio.delta",
        response_id="resp_1",
        item_id="item_1",
        content_index=0,
        delta="abc",
    )
    await session.delta(tone(100))
    assert await phone.hear(800) == tone(100)


async def test_what_the_bridge_does_not_know_or_cannot_read_costs_only_itself(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    phone, session = await talk(await bridge_under_test(puppet.url))
    await session.send("response.output_hologram.delta", delta="?")
    await session.connection.send('{"type": "response.output_audio.delta", "delta": "')
    await session.connection.send(b"\x00\xff not for you")
    await session.connection.send('{"type": "response.created"}')
    await session.connection.send("[1, 2]")
    await session.speak(tone(100))
    assert await phone.hear(800) == tone(100)


async def test_events_that_come_in_fragments_are_put_together(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    phone, session = await talk(await bridge_under_test(puppet.url))
    event = {
        "type": "response.output_audio.delta",
        "response_id": "resp_1",
        "item_id": "item_1",
        "content_index": 0,
        "delta": "/////w==",
    }
    text = json.dumps(event)
    await session.connection.send(text[n : n + 7] for n in range(0, len(text), 7))
    assert await phone.hear(4) == b"\xff" * 4


# --- tools --------------------------------------------------------------------------------------


async def test_several_tool_calls_of_one_response_get_their_outputs_and_one_response_follows(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await asked(session)
    await session.response()
    calls = [session.call("no_such_tool", call_id=f"call_{n}") for n in range(3)]
    for call in calls:
        await session.item_done(call)
    await session.until(lambda: len(session.tool_outputs) == 3)
    assert session.of("response.create") == []
    await session.done(output=calls)
    await session.event("response.create")
    await session.response("resp_2")
    await session.done("resp_2")
    await in_step(bridge, phone, session)
    assert len(session.of("response.create")) == 1
    assert list(session.tool_outputs) == ["call_0", "call_1", "call_2"]


async def test_the_same_tool_call_in_three_events_is_acted_on_once(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await asked(session)
    await session.response()
    call = session.call("no_such_tool")
    await session.send(
        "response.function_call_arguments.done",
        response_id="resp_1",
        item_id=call["id"],
        output_index=0,
        call_id="call_1",
        name="no_such_tool",
        arguments="{}",
    )
    await session.item_done(call)
    await session.item_done(call)
    await session.done(output=[call])
    await session.event("response.create")
    await in_step(bridge, phone, session)
    outputs = [
        event["item"]
        for event in session.of("conversation.item.create")
        if event["item"]["type"] == "function_call_output"
    ]
    assert [output["call_id"] for output in outputs] == ["call_1"]
    assert len(bridge.watcher.of(phone.call_sid, "tool_called")) == 1


async def test_arguments_of_an_interrupted_call_are_not_executed(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await asked(session)
    await session.response()
    half = {
        **session.call("route_call", status="incomplete"),
        "arguments": '{"intent": "general", "summ',
    }
    await session.speech_started("user_2")
    await session.item_done(half)
    await session.done(status="cancelled", output=[half])
    await in_step(bridge, phone, session)
    assert session.tool_outputs == {}
    assert bridge.watcher.of(phone.call_sid, "decided") == []


async def test_a_tool_call_that_is_not_in_order_is_answered_with_what_is_wrong(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    phone, session = await talk(await bridge_under_test(puppet.url))
    await asked(session)
    await session.response()
    await session.item_done({**session.call("route_call"), "arguments": "{"})
    await session.until(lambda: "call_1" in session.tool_outputs)
    assert json.loads(session.tool_outputs["call_1"])["ok"] is False
    await session.done()
    await session.event("response.create")
    await phone.hang_up()


# --- one response at a time ---------------------------------------------------------------------


async def test_a_response_is_asked_for_only_when_none_is_running(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await session.response()
    await phone.press("7")
    await phone.press("#")
    await session.until(lambda: session.texts[-1:] != [] and session.texts[-1][0] == "user")
    await in_step(bridge, phone, session)
    assert session.of("response.create") == []
    await session.done()
    await session.event("response.create")
    assert len(session.of("response.create")) == 1


async def test_a_request_that_the_server_refused_is_repeated_when_it_is_free(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await phone.press("7")
    await phone.press("#")
    refused = await session.event("response.create")
    await session.response("resp_auto")
    await session.error(
        "conversation_already_has_active_response", "busy", event_id=refused["event_id"]
    )
    await session.done("resp_auto")
    again = await session.event("response.create", 2)
    assert again["event_id"] != refused["event_id"]
    assert bridge.watcher.of(phone.call_sid, "ended") == []


async def test_a_failed_response_is_asked_for_once_more(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url, limits={"retry_after_s": 0.05})
    phone, session = await talk(bridge)
    await asked(session)
    await session.response()
    await session.done(status="failed", code="inference_rate_limit_exceeded")
    await session.event("response.create")
    await session.speak(tone(100), response="resp_2")
    assert await phone.hear(800) == tone(100)


async def test_a_response_that_fails_again_routes_the_call(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url, limits={"retry_after_s": 0.05})
    phone, session = await talk(bridge)
    await asked(session)
    await session.response()
    await session.done(status="failed", code="server_error")
    await session.event("response.create")
    await session.response("resp_2")
    await session.done("resp_2", "failed", code="server_error")
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "response_failed:server_error"
    assert "FlowEvent=return" in await bridge.after(phone.invitation)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("response_cancel_not_active", "Cancellation failed: no active response found"),
        ("item_truncate_invalid_item_id", "no such item"),
        ("item_delete_invalid_item_id", "no such item"),
        ("input_audio_buffer_commit_empty", "buffer too small"),
        (None, "Audio content of 800ms is already shorter than 900ms"),
        ("a_code_that_nobody_knows", "?"),
    ],
)
async def test_errors_that_harm_nothing_do_not_end_a_call(
    bridge_under_test: ServeBridge,
    puppet: PuppetModel,
    talk: Talk,
    code: str | None,
    message: str,
) -> None:
    phone, session = await talk(await bridge_under_test(puppet.url))
    await session.error(code, message)
    await asked(session)
    await session.speak(tone(100))
    assert await phone.hear(800) == tone(100)


# --- keys ---------------------------------------------------------------------------------------


async def test_keys_reach_the_model_as_text_and_it_is_asked_to_answer(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url, limits={"digit_gap_s": 0.05})
    phone, session = await talk(bridge)
    for digit in "4155*":
        await phone.press(digit)
    await session.event("response.create")
    assert session.texts[-1] == ("user", "(The caller pressed these keys on the phone: 4155*)")


async def test_a_key_that_is_none_costs_only_itself(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, _ = await talk(bridge)
    await phone.press("hash")
    await taken(bridge, phone)
    assert len(bridge.watcher.of(phone.call_sid, "digit")) == 1


async def test_keys_pressed_before_there_is_a_model_are_not_lost(
    silent_puppet: PuppetModel, open_line: Phone
) -> None:
    await open_line.press("4")
    await open_line.press("#")
    session = await silent_puppet.session()
    await session.configure()
    await session.event("response.create")
    assert session.texts[-1] == ("user", "(The caller pressed these keys on the phone: 4)")
