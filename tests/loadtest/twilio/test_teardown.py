"""Nothing is left behind: no task, no socket, no timer, no record of a live call."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from loadtest.twilio import (
    CallScript,
    HangUp,
    PhoneNumber,
    Settings,
    SimulatedTwilio,
    Speak,
    StudioReturn,
    WaitMs,
)
from tests.loadtest.twilio.conftest import (
    FLOW_SID,
    PUBLIC,
    STUDIO,
    Application,
    MediaServer,
    Socket,
    clip,
    response,
    tone,
)


def open_sockets() -> int:
    """Sockets among this process's file descriptors."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found += os.readlink(descriptor).startswith("socket:")
        except FileNotFoundError:
            continue
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")


@needs_proc
async def test_a_hundred_calls_at_once_leave_nothing_behind(
    settings: Settings, number: PhoneNumber, application: Application, media: MediaServer
) -> None:
    application.replies["/voice"] = response(
        f'<Connect action="/after"><Stream url="wss://{PUBLIC}/media"/></Connect>'
    )
    application.replies["/after"] = response(f"<Redirect>{STUDIO}?FlowEvent=return</Redirect>")
    said, answer = clip(200), tone(200)

    async def assistant(socket: Socket) -> None:
        await socket.until("start")
        for _ in range(20):
            await socket.until("media")
        await socket.play(answer, "end")
        await socket.until("mark")

    media.behaviour = assistant
    tasks_before, sockets_before = asyncio.all_tasks(), open_sockets()
    async with SimulatedTwilio(settings, number, random.Random(5)) as twilio:
        async with asyncio.TaskGroup() as group:
            script = CallScript(steps=[Speak(said)])
            calls = [group.create_task(twilio.place_call(script)) for _ in range(100)]
        results = [call.result() for call in calls]
        assert len(twilio.exchange.wheel) == 0
        assert twilio.live_calls == 0
    assert [result.outcome for result in results] == [StudioReturn(FLOW_SID, {})] * 100
    assert [result.errors for result in results] == [()] * 100
    assert {result.streams[0].marks_echoed for result in results} == {1}
    await settle(tasks_before, sockets_before)


async def settle(tasks: set[asyncio.Task[object]], sockets: int) -> None:
    """The servers of the test notice the closing a moment later: wait for that, bounded."""
    for _ in range(1000):
        # The operating system tells nobody that a socket is gone, so this looks again and again.
        if not asyncio.all_tasks() - tasks and open_sockets() <= sockets:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"left: {asyncio.all_tasks() - tasks}, {open_sockets()} sockets, were {sockets}")


@needs_proc
async def test_a_cancelled_call_leaves_nothing_behind(
    settings: Settings, media: MediaServer
) -> None:
    twiml = response(f'<Connect><Stream url="wss://{PUBLIC}/media"/></Connect>')
    tasks_before, sockets_before = asyncio.all_tasks(), open_sockets()
    async with SimulatedTwilio(settings) as twilio:
        speaking = asyncio.Event()

        def notice(event: object) -> None:
            if getattr(event, "kind", "") == "caller_speech_started":
                speaking.set()

        script = CallScript(steps=[Speak(clip(5000))], twiml=twiml)
        call = asyncio.create_task(twilio.place_call(script, notice))
        await speaking.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert len(twilio.exchange.wheel) == 0
        assert twilio.live_calls == 0
    await settle(tasks_before, sockets_before)


@needs_proc
async def test_an_update_a_hang_up_and_a_close_at_once_leave_nothing_behind(
    settings: Settings, number: PhoneNumber, application: Application, media: MediaServer
) -> None:
    application.replies["/voice"] = response(
        f'<Connect action="/after"><Stream url="wss://{PUBLIC}/media"/></Connect>'
    )
    application.replies["/after"] = response('<Pause length="20"/>')

    async def assistant(socket: Socket) -> None:
        await socket.until("start")
        await socket.until("media")

    media.behaviour = assistant
    tasks_before, sockets_before = asyncio.all_tasks(), open_sockets()
    async with SimulatedTwilio(settings, number) as twilio:
        script = CallScript(steps=[WaitMs(5), HangUp()])
        await twilio.place_call(script)
        assert twilio.live_calls == 0
    await settle(tasks_before, sockets_before)


@needs_proc
async def test_calls_cancelled_at_any_moment_leave_nothing_behind(
    settings: Settings, media: MediaServer
) -> None:
    twiml = response(f'<Connect><Stream url="wss://{PUBLIC}/media"/></Connect>')
    script = CallScript(steps=[Speak(clip(500))], twiml=twiml)
    tasks_before, sockets_before = asyncio.all_tasks(), open_sockets()
    async with SimulatedTwilio(settings) as twilio:
        for turns in range(120):
            call = asyncio.create_task(twilio.place_call(script))
            for _ in range(turns % 40):
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert len(twilio.exchange.wheel) == 0
    await settle(tasks_before, sockets_before)
