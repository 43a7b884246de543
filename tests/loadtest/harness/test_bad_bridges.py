"""Bridges that leave the caller in silence or talk over the caller, each seen by its figure."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

import audiocodecs
from loadtest.harness.result import Result
from tests.loadtest.harness.served import run_against_handler
from tests.loadtest.twilio.conftest import tone

QUIET_FRAMES = 20
"""So many make these bridges think that the caller has finished."""

ASKS = """
  { do = "wait_until_assistant_silent", after_ms = 200, max_ms = 2500 },
  { do = "speak", wav = "words.wav" },
  { do = "wait_until_assistant_silent", after_ms = 1500, max_ms = 6000 },
  { do = "hang_up" },
"""
INTERRUPTS = """
  { do = "interrupt_after", ms = 300 },
  { do = "speak", wav = "words.wav" },
  { do = "wait", ms = 1000 },
  { do = "hang_up" },
"""


@dataclass
class Line:
    """The bridge's end of a call. ``frames`` are the caller's so far."""

    connection: ServerConnection
    number: int
    sid: str
    frames: int = 0

    async def say(self, length_ms: int) -> None:
        media = {"payload": base64.b64encode(tone(length_ms)).decode()}
        await self._send({"event": "media", "media": media})

    async def clear(self) -> None:
        await self._send({"event": "clear"})

    async def _send(self, message: dict[str, object]) -> None:
        await self.connection.send(json.dumps({**message, "streamSid": self.sid}))

    async def caller(self) -> AsyncIterator[bool]:
        """Every 20 ms whether the caller speaks, pauses of ``QUIET_FRAMES`` included."""
        quiet = QUIET_FRAMES
        async for message in self.connection:
            event = json.loads(message)
            if event["event"] == "media":
                self.frames += 1
                ulaw = base64.b64decode(event["media"]["payload"])
                quiet = 0 if audiocodecs.ulaw_level_dbfs(ulaw) > -35 else quiet + 1
                yield quiet < QUIET_FRAMES

    async def edges(self) -> AsyncIterator[bool]:
        """When the caller begins to speak, and has finished."""
        before = False
        async for speaks in self.caller():
            if speaks != before:
                before = speaks
                yield speaks


async def run_against(
    behave: Callable[[Line], Awaitable[None]],
    steps: str,
    folder: Path,
    *,
    calls: int = 1,
    for_s: float = 6.0,
    gates: tuple[str, ...] = (),
) -> Result:
    audiocodecs.write_wav(folder / "words.wav", audiocodecs.WavAudio(tone(400)))
    file = folder / "caller.toml"
    file.write_text(f'name = "c"\nsteps = [{steps}]\n')
    numbers = iter(range(calls))

    async def serve_one(connection: ServerConnection) -> None:
        async for message in connection:
            event = json.loads(message)
            if event["event"] == "start":
                await behave(Line(connection, next(numbers), event["streamSid"]))
                return

    return await run_against_handler(
        serve_one, file, calls=calls, gates=gates, for_s=for_s, realtime="none"
    )


# --- talks over the caller ----------------------------------------------------------------------


async def test_a_bridge_that_ignores_every_second_caller_is_told_by_its_count(
    tmp_path: Path,
) -> None:
    async def half_deaf(line: Line) -> None:
        await line.say(2500)
        async for begins in line.edges():
            if begins and line.number % 2:
                await line.clear()

    gates = ("barge_in.max=300ms", "barge_ins_ignored=0")
    result = await run_against(half_deaf, INTERRUPTS, tmp_path, calls=4, for_s=4.0, gates=gates)
    assert result.counts["barge_ins"] == 4
    assert result.counts["barge_ins_ignored"] == 2
    assert result.figures["barge_in"].count == 2  # the others had to hang up
    assert [gate.passed for gate in result.gates] == [True, False]


async def test_a_caller_who_hangs_up_does_not_silence_the_bridge(tmp_path: Path) -> None:
    async def never_clears(line: Line) -> None:
        await line.say(12_000)
        async for _ in line.caller():
            pass

    steps = INTERRUPTS.replace('{ do = "wait", ms = 1000 },', "")
    gates = ("barge_in.p95=300ms", "barge_ins_ignored=0")
    result = await run_against(never_clears, steps, tmp_path, calls=2, for_s=3.0, gates=gates)
    assert result.counts["turns"] == 2
    assert "barge_in" not in result.figures
    assert [gate.value for gate in result.gates] == [None, None]


async def test_a_bridge_that_sends_in_real_time_and_stops_has_a_barge_in(tmp_path: Path) -> None:
    async def paced(line: Line) -> None:
        async for speaks in line.caller():  # comes every 20 ms
            if speaks:
                return
            await line.say(20)

    async def stops(line: Line) -> None:
        await paced(line)
        async for _ in line.caller():
            pass

    result = await run_against(stops, INTERRUPTS, tmp_path, for_s=4.0)
    assert (result.counts["barge_ins"], result.counts["barge_ins_ignored"]) == (1, 0)
    assert result.figures["barge_in"].max < 500


# --- leaves the caller in silence ---------------------------------------------------------------


async def test_an_answer_that_stalls_for_long_has_a_gap(tmp_path: Path) -> None:
    async def stalls(line: Line) -> None:
        await line.say(300)
        resumes_at = -1
        async for speaks in line.caller():
            if speaks:
                resumes_at = 0
            elif resumes_at == 0:
                await line.say(500)
                resumes_at = line.frames + (500 + 1000) // 20
            elif line.frames == resumes_at:
                await line.say(500)

    result = await run_against(stalls, ASKS, tmp_path)
    assert result.figures["answer_gaps"].max == pytest.approx(1000, abs=300)


async def test_a_caller_who_hears_no_greeting_is_counted(tmp_path: Path) -> None:
    async def greets_every_second(line: Line) -> None:
        if line.number % 2:
            await line.say(300)
        async for begins in line.edges():
            if not begins:
                await line.say(500)

    gates = ("greeting.p95=500ms", "greetings_missing=0", "unanswered_turns=0")
    result = await run_against(greets_every_second, ASKS, tmp_path, calls=2, for_s=8.0, gates=gates)
    assert result.counts["greetings_missing"] == 1
    assert [gate.passed for gate in result.gates] == [True, False, True]


async def test_a_bridge_that_gives_up_has_not_answered(tmp_path: Path) -> None:
    async def gives_up(line: Line) -> None:
        await line.say(300)
        closes_at = 0
        async for speaks in line.caller():
            if speaks:
                closes_at = line.frames + 260
            elif line.frames == closes_at:
                return

    result = await run_against(gives_up, ASKS, tmp_path, for_s=9.0)
    assert (result.counts["turns"], result.counts["unanswered_turns"]) == (1, 1)


async def test_a_bridge_that_never_says_a_word_passes_no_gate_of_what_it_did_not_do(
    tmp_path: Path,
) -> None:
    async def mute(line: Line) -> None:
        async for _ in line.caller():
            pass

    steps = ASKS.replace("2500", "20000")
    gates = ("unanswered_turns=0", "unmarked_answers=0", "audio_after_end=0", "greetings_missing=0")
    result = await run_against(mute, steps, tmp_path, calls=2, gates=gates)
    assert [gate.value for gate in result.gates] == [None, None, None, 2]
    assert not any(gate.passed for gate in result.gates)
