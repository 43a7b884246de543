"""The caller: goes through the steps of a script, reacting to what is heard."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, assert_never

from loadtest.twilio.leg import HungUp
from loadtest.twilio.line import CallLine
from loadtest.twilio.script import (
    HangUp,
    InterruptAfterMs,
    Press,
    SendRaw,
    Speak,
    StayOnLine,
    Step,
    WaitFor,
    WaitForStream,
    WaitMs,
    WaitUntilAssistantSilent,
)

if TYPE_CHECKING:
    from loadtest.twilio.call import CallLeg

_KEY_PAUSE_S = 0.1


async def behave(call: CallLeg) -> None:
    """All steps in order. Returns when they are over; the call goes on until something ends it."""
    for step in call.script.steps:
        call.journal.event("step", step=type(step).__name__)
        await _take(call, step)


async def _take(call: CallLeg, step: Step) -> None:
    match step:
        case Speak(clip):
            await call.line.speak(clip)
        case WaitMs(ms):
            await asyncio.sleep(ms / 1000)
        case WaitFor(happened, max_ms):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max_ms / 1000):
                    await happened.wait()
        case WaitUntilAssistantSilent(after_ms, max_ms):
            await _until_silent(call.line, after_ms / 1000, time.monotonic() + max_ms / 1000)
        case InterruptAfterMs(ms, max_ms):
            await _until_heard(call.line, ms / 1000, time.monotonic() + max_ms / 1000)
        case WaitForStream(max_ms):
            deadline = time.monotonic() + max_ms / 1000
            while call.line.sink is None and time.monotonic() < deadline:
                await call.line.bell.wait(deadline)
        case Press(digits):
            for digit in digits:
                call.press(digit)
                await asyncio.sleep(_KEY_PAUSE_S)
        case SendRaw(message):
            if call.stream is not None:
                call.stream.send_raw(message)
        case HangUp():
            call.interrupt(HungUp("caller"))
        case StayOnLine(max_ms):
            await asyncio.sleep(max_ms / 1000)
            call.interrupt(HungUp("caller"))
        case _:
            assert_never(step)


async def _until_silent(line: CallLine, after_s: float, deadline: float) -> bool:
    """True when the assistant has answered and been quiet for ``after_s``."""
    while (now := time.monotonic()) < deadline:
        quiet_from = line.ear.quiet_from
        wake_at = deadline
        if quiet_from > line.turn_over:
            wake_at = min(deadline, quiet_from + after_s)
            if now >= quiet_from + after_s:
                return True
        await line.bell.wait(wake_at)
    return False


async def _until_heard(line: CallLine, heard_s: float, deadline: float) -> bool:
    """True when the running spell of the assistant is ``heard_s`` old."""
    while (now := time.monotonic()) < deadline:
        wake_at = deadline
        if line.spell_started is not None:
            wake_at = min(deadline, line.spell_started + heard_s)
            if now >= line.spell_started + heard_s:
                return True
        await line.bell.wait(wake_at)
    return False
