"""Bridges that do something wrong with the audio on its way, each seen by its own figure."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from loadtest.bench.relays.shared import HEADERS, SESSION_UPDATE
from loadtest.harness.callers import read_callers
from loadtest.harness.engine import run
from loadtest.harness.gates import parse_all
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import Result
from loadtest.harness.surroundings import free_port
from loadtest.harness.target import Target
from loadtest.scenarios.line import PERFECT

SPEAKS = """
name = "speaks first"
max_call_ms = 20000
steps = [
  { do = "wait_for_stream" },
  { do = "wait", ms = 300 },
  { do = "speak", call = "billing", turn = 2 },
  { do = "wait_until_assistant_silent", after_ms = 300, max_ms = 8000 },
  { do = "stay_on_line", max_ms = 1500 },
]
"""
AUDIO = ("lost_audio_ms", "clipped_starts", "clipped_ends")


@dataclass(frozen=True, slots=True)
class Line:
    """One call of a relay."""

    number: int
    twilio: ServerConnection
    sid: str
    model: ClientConnection

    async def append(self, payload: str) -> None:
        await self.model.send(json.dumps({"type": "input_audio_buffer.append", "audio": payload}))

    async def play(self, ulaw: bytes) -> None:
        media = {"payload": base64.b64encode(ulaw).decode()}
        message = {"event": "media", "streamSid": self.sid, "media": media}
        with contextlib.suppress(OSError):
            await self.twilio.send(json.dumps(message))


@dataclass
class Relay:
    """Hands everything on; ``heard`` and ``spoken`` are what tests make wrong."""

    port: int
    session: bytes = SESSION_UPDATE
    lines: list[Line] = field(default_factory=list)

    async def heard(self, line: Line, _number: int, payload: str) -> None:
        await line.append(payload)

    async def spoken(self, line: Line, ulaw: bytes) -> None:
        await line.play(ulaw)

    async def call(self, twilio: ServerConnection) -> None:
        url = f"ws://127.0.0.1:{self.port}/v1/realtime?model=gpt-realtime"
        async for message in twilio:
            if json.loads(message)["event"] == "start":
                sid = json.loads(message)["streamSid"]
                break
        async with connect(url, additional_headers=HEADERS, compression=None) as model:
            await model.send(self.session, text=True)
            line = Line(len(self.lines), twilio, sid, model)
            self.lines.append(line)
            answering = asyncio.create_task(self._answer(line))
            await self._listen(line)
            answering.cancel()
            await asyncio.wait({answering})

    async def _listen(self, line: Line) -> None:
        number = 0
        async for message in line.twilio:
            event = json.loads(message)
            if event["event"] == "stop":
                return
            if event["event"] == "media":
                await self.heard(line, number, event["media"]["payload"])
                number += 1

    async def _answer(self, line: Line) -> None:
        async for message in line.model:
            event = json.loads(message)
            if event["type"] == "response.output_audio.delta":
                await self.spoken(line, base64.b64decode(event["delta"]))


async def run_against(
    make: Callable[[int], Relay], tmp_path: Path, gates: Sequence[str] = (), calls: int = 1
) -> Result:
    file = tmp_path / "speaks.toml"
    file.write_text(SPEAKS)
    realtime_port = free_port()
    relay = make(realtime_port)
    async with serve(relay.call, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        plan = RunPlan(
            callers=read_callers([str(file)], [], None, PERFECT),
            target=Target("media", f"ws://127.0.0.1:{port}/media"),
            calls=calls,
            most_calls=calls,
            rate_per_s=20.0,
            for_s=9.0,
            realtime_port=realtime_port,
            profile="fast",
            gates=parse_all(gates),
        )
        return await run(plan)


class Crossing(Relay):
    async def spoken(self, line: Line, ulaw: bytes) -> None:
        for one in self.lines:
            await one.play(ulaw)


async def test_an_answer_that_another_caller_hears_as_well_fails_both_calls(tmp_path: Path) -> None:
    gates = ["crossed_frames=0", "calls_failed=0"]
    result = await run_against(Crossing, tmp_path, gates, calls=2)
    assert result.counts["crossed_frames"] > 50
    assert result.counts["calls_failed"] == 2
    assert result.errors == {"audio for one caller reached another": 2}
    assert [gate.passed for gate in result.gates] == [False, False]


async def test_a_relay_that_does_nothing_wrong_has_nothing_against_it(tmp_path: Path) -> None:
    result = await run_against(Relay, tmp_path)
    faults = ("calls_failed", "lost_frames", "crossed_frames", *AUDIO)
    assert {name: result.counts[name] for name in faults} == dict.fromkeys(faults, 0)
    assert result.errors == {}
    assert result.notes == ()


# --- deaf ---------------------------------------------------------------------------------------


class DeafAfter(Relay):
    """Hands on the first 150 frames of each call."""

    async def heard(self, line: Line, number: int, payload: str) -> None:
        if number < 150:
            await line.append(payload)


class DeafToTheFirst(Relay):
    """Of the first call nothing reaches the session that was opened for it."""

    async def heard(self, line: Line, _number: int, payload: str) -> None:
        if line.number > 0:
            await line.append(payload)


class DoneWithTheModel(Relay):
    """Closes the model's socket and keeps the caller."""

    async def heard(self, line: Line, number: int, payload: str) -> None:
        if number < 150:
            await line.append(payload)
        elif number == 150:
            await line.model.close()


class WithoutModel(Relay):
    """Takes the first call without a model."""

    async def call(self, twilio: ServerConnection) -> None:
        self.calls += 1
        if self.calls > 1:
            await super().call(twilio)
            return
        async for message in twilio:
            if json.loads(message)["event"] == "stop":
                return

    calls = 0


async def test_frames_after_which_a_bridge_went_deaf_are_lost(tmp_path: Path) -> None:
    result = await run_against(DeafAfter, tmp_path, ["lost_frames=0"])
    counts = result.counts
    # The last second may have been under way.
    assert counts["frames"] - 150 - 55 <= counts["lost_frames"] <= counts["frames"] - 150 - 45
    assert not result.gates_passed


async def test_a_call_of_which_its_session_heard_nothing_has_lost_all_of_it(tmp_path: Path) -> None:
    counts = (await run_against(DeafToTheFirst, tmp_path, calls=2)).counts
    assert 0.3 < counts["lost_frames"] / counts["frames"] < 0.7


@pytest.mark.parametrize("make", [DoneWithTheModel, WithoutModel])
async def test_what_is_said_without_an_open_session_is_not_lost(
    make: type[Relay], tmp_path: Path
) -> None:
    result = await run_against(make, tmp_path, calls=2)
    assert result.counts["frames"] > 500
    assert result.counts["lost_frames"] == 0
