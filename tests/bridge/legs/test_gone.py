"""Either side goes, or says nothing: a defined ending with a reason, nothing left running."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from bridge.call.watch import STILL_THERE
from tests.bridge.legs.audio import numbered, tone
from tests.bridge.legs.conftest import ServeBridge, Talk
from tests.bridge.legs.phone import Phone, open_call, taken
from tests.bridge.legs.puppet import PuppetModel, PuppetSession
from tests.bridge.legs.served import ServedBridge

ONE_SESSION = {"max_reconnects": 0}


async def nothing_left(bridge: ServedBridge, puppet: PuppetModel) -> None:
    await bridge.idle()
    for session in puppet.sessions:
        await session.closed()
    assert (bridge.switchboard.live_calls, puppet.open) == (0, 0)


# --- the caller ---------------------------------------------------------------------------------


async def test_a_caller_who_hangs_up_ends_the_call(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await phone.hang_up()
    decision = await bridge.decided(phone.call_sid)
    assert (decision.route, decision.reason) == ("resolve", "caller_left")
    assert await bridge.ended(phone.call_sid) == "caller_left"
    assert await session.closed() == (1000, "")
    await nothing_left(bridge, puppet)


async def test_a_stop_without_a_close_ends_the_call_and_the_bridge_closes(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, _ = await talk(bridge)
    await phone.stop()
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "caller_left"
    await nothing_left(bridge, puppet)


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_a_stream_that_is_lost_may_come_back_to_ask_where_to_go(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk, how: str
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    if how == "reset":
        phone.reset()
    else:
        await phone.connection.close(1001)
    assert await bridge.ended(phone.call_sid) == "stream_closed"
    assert await session.closed() == (1000, "")
    await nothing_left(bridge, puppet)
    assert "FlowEvent=return" in await bridge.after(phone.invitation)


async def test_a_caller_who_goes_while_the_model_is_being_reached_leaves_nothing(
    bridge_under_test: ServeBridge, silent_puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(silent_puppet.url)
    phone = await stack.enter_async_context(open_call(bridge))
    await silent_puppet.session()
    await phone.hang_up()
    assert await bridge.ended(phone.call_sid) == "caller_left"
    await nothing_left(bridge, silent_puppet)


async def test_a_caller_who_goes_at_once_leaves_nothing(
    bridge_under_test: ServeBridge, puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone = await stack.enter_async_context(open_call(bridge))
    await phone.hang_up()
    assert await bridge.ended(phone.call_sid) == "caller_left"
    await nothing_left(bridge, puppet)


async def test_a_line_without_audio_is_given_up(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url, limits={"media_stall_s": 0.3})
    phone, _ = await talk(bridge)
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "media_stalled"
    await nothing_left(bridge, puppet)


async def test_a_silent_caller_is_asked_once_and_then_moved_on(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    limits = {"caller_silence_s": 0.2, "closing_start_s": 0.1}
    bridge = await bridge_under_test(puppet.url, limits=limits)
    phone, session = await talk(bridge)
    await session.event("response.create")
    assert session.texts[-1] == ("system", STILL_THERE)
    await session.speak(tone(100))
    await phone.reach(await phone.until_mark(of="a0.100.item_1"))
    assert await phone.closed() == (1000, "")
    decision = await bridge.decided(phone.call_sid)
    assert decision.reason == "limit_silence"
    await nothing_left(bridge, puppet)


# --- the model ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4001])
async def test_a_model_that_closes_ends_the_call_with_its_code(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk, code: int
) -> None:
    bridge = await bridge_under_test(puppet.url, limits=ONE_SESSION)
    phone, session = await talk(bridge)
    await session.connection.close(code)
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == f"model_closed_{code}"
    await nothing_left(bridge, puppet)
    assert "FlowEvent=return" in await bridge.after(phone.invitation)


async def test_a_model_that_is_reset_ends_the_call(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url, limits=ONE_SESSION)
    phone, session = await talk(bridge)
    session.reset()
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "model_closed_1006"
    await nothing_left(bridge, puppet)


async def test_a_model_that_is_gone_without_a_word_is_noticed_within_seconds(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    """Half-open: the socket stands, but nobody answers, not even a ping."""
    limits = {**ONE_SESSION, "media_stall_s": 60.0, "caller_silence_s": 60.0}
    bridge = await bridge_under_test(puppet.url, limits=limits)
    phone, session = await talk(bridge)
    session.stop_reading()
    await phone.say(*numbered(50))
    await bridge.watcher.until(phone.call_sid, "ended", within_s=20)
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "model_closed_1006"
    session.start_reading()
    await nothing_left(bridge, puppet)


async def test_a_session_at_its_end_is_followed_by_another(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, session = await talk(bridge)
    await session.error("session_expired", "Your session hit the maximum duration of 60 minutes.")
    await session.connection.close(1001)
    second = await puppet.session(1)
    await second.event("response.create")
    await second.speak(tone(100))
    assert await phone.hear(800) == tone(100)
    (noted,) = bridge.watcher.of(phone.call_sid, "server_error")
    assert noted.fields["code"] == "session_expired"
    await phone.hang_up()
    await nothing_left(bridge, puppet)


async def caller_asked(phone: Phone, session: PuppetSession) -> None:
    await phone.say(*numbered(2))
    await session.frames(2)
    await session.speech_started()
    await session.speech_stopped()


async def test_a_model_that_says_nothing_is_asked_again_and_given_up(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url, limits={"answer_s": 0.2})
    phone, session = await talk(bridge)
    await caller_asked(phone, session)
    await session.event("response.create")
    assert await phone.closed() == (1000, "")
    assert await bridge.ended(phone.call_sid) == "model_silent"
    await nothing_left(bridge, puppet)


async def test_a_model_that_stalls_in_the_middle_of_a_sentence_is_asked_again(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url, limits={"answer_s": 0.2})
    phone, session = await talk(bridge)
    await caller_asked(phone, session)
    await session.response()
    await session.delta(tone(100))
    await phone.reach("a0.0.item_1", await phone.until_mark(of="a0.100.item_1"))
    assert (await session.event("response.cancel"))["response_id"] == "resp_1"
    await session.done(status="cancelled")
    await session.event("response.create")
    await session.speak(tone(200, 880), "item_2", "resp_2")
    assert await phone.hear(1600) == tone(200, 880)


async def test_a_lost_model_is_reached_again_and_told_what_was_said(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, first = await talk(bridge)
    await caller_asked(phone, first)
    await first.send(
        "conversation.item.input_audio_transcription.completed",
        item_id="user_1",
        content_index=0,
        transcript="A leak in the kitchen.",
    )
    await bridge.watcher.until(phone.call_sid, "caller_said")
    await first.connection.close(1011)
    second = await puppet.session(1)
    await second.event("response.create")
    assert ("user", "A leak in the kitchen.") in second.texts
    await phone.say(*numbered(3)[2:])
    assert await second.frames(1) == numbered(3)[2:]
    await second.speak(tone(100))
    assert await phone.hear(800) == tone(100)
    await phone.hang_up()
    await nothing_left(bridge, puppet)


async def test_what_the_caller_says_while_the_model_is_lost_is_kept(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url)
    phone, first = await talk(bridge)
    words = numbered(40)
    await phone.say(*words[:10])
    await first.frames(10)
    await first.connection.close(1011)
    await bridge.watcher.until(phone.call_sid, "model_lost")
    await phone.say(*words[10:])
    await taken(bridge, phone)
    second = await puppet.session(1)
    assert await second.frames(30) == words[10:]


async def test_turns_are_measured_by_the_clock_of_the_session_that_hears_them(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    """A new session counts the caller's audio from its own first frame."""
    bridge = await bridge_under_test(puppet.url)
    phone, first = await talk(bridge)
    await phone.say(*numbered(1000))  # twenty seconds of it
    await taken(bridge, phone)
    await first.connection.close(1001)
    second = await puppet.session(1)
    await second.event("response.create")
    await second.speak(tone(100))
    await phone.reach("a0.0.item_1", await phone.until_mark(of="a0.100.item_1"))
    await phone.say(*numbered(50))
    await taken(bridge, phone)
    await second.speech_started()
    await second.speech_stopped(at_ms=1000)
    await second.speak(tone(100), "item_2", "resp_2")
    await phone.reach("a0.0.item_2", await phone.until_mark(of=".100.item_2"))
    note = await bridge.watcher.until(phone.call_sid, "turn")
    assert float(note.fields["first_audio_out_ms"] or 0) < 15_000
