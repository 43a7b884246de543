"""Bridges that do something wrong with the audio on its way, each seen by its own figure."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection

import audiocodecs
from audiocodecs import Resampler
from loadtest.bench.relays.shared import HEADERS, SESSION_UPDATE
from loadtest.harness.plan import TO_CALLER, TO_MODEL
from loadtest.harness.result import Result
from loadtest.harness.surroundings import free_port
from tests.loadtest.harness.served import run_against_handler

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
AUDIO = sorted(TO_CALLER - {"downlink"})


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
    return await run_against_handler(
        relay.call,
        file,
        calls=calls,
        gates=gates,
        for_s=9.0,
        realtime_port=realtime_port,
        profile="fast",
    )


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
    faults = ("calls_failed", "lost_frames", *AUDIO)
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


# --- audio that is touched ----------------------------------------------------------------------


def quieter(ulaw: bytes) -> bytes:
    linear = np.frombuffer(audiocodecs.ulaw_to_pcm16(ulaw), dtype="<i2")
    return audiocodecs.pcm16_to_ulaw((linear * 0.9).astype("<i2").tobytes())


class QuieterAnswers(Relay):
    async def spoken(self, line: Line, ulaw: bytes) -> None:
        await line.play(quieter(ulaw))


class QuieterCallers(Relay):
    async def heard(self, line: Line, _number: int, payload: str) -> None:
        await line.append(base64.b64encode(quieter(base64.b64decode(payload))).decode())


class PcmAnswers(Relay):
    """Mu-law from the caller, PCM from the model."""

    def __init__(self, port: int) -> None:
        update = json.loads(SESSION_UPDATE)
        update["session"]["audio"]["output"]["format"] = {"type": "audio/pcm", "rate": 24000}
        super().__init__(port, json.dumps(update).encode())
        self.down = Resampler(24000, 8000)

    async def spoken(self, line: Line, ulaw: bytes) -> None:
        await line.play(audiocodecs.pcm16_to_ulaw(self.down.process(ulaw)))


class Stammering(Relay):
    async def spoken(self, line: Line, ulaw: bytes) -> None:
        await line.play(ulaw)
        await line.play(ulaw)


class Shuffling(Relay):
    """Plays every other delta behind the next."""

    kept = b""

    async def spoken(self, line: Line, ulaw: bytes) -> None:
        if self.kept:
            await line.play(ulaw + self.kept)
            self.kept = b""
        else:
            self.kept = ulaw


@pytest.mark.parametrize(
    ("make", "note"),
    [(QuieterAnswers, "answers were changed on their way"), (PcmAnswers, "than mu-law")],
)
async def test_answers_that_cannot_be_followed_are_not_lost_but_not_counted(
    make: Callable[[int], Relay], note: str, tmp_path: Path
) -> None:
    result = await run_against(make, tmp_path, ["lost_audio_ms=0"])
    assert not TO_CALLER & {*result.counts, *result.figures}
    assert (result.counts["lost_frames"], result.counts["answers"]) == (0, 1)
    assert {"uplink", "first_model_audio", "first_audio_out"} <= result.figures.keys()
    assert [note in one for one in result.notes] == [True]
    assert [gate.why.partition(";")[0] for gate in result.gates] == [
        "lost_audio_ms was not counted"
    ]


async def test_callers_who_cannot_be_followed_are_not_lost_but_not_counted(tmp_path: Path) -> None:
    result = await run_against(QuieterCallers, tmp_path)
    assert not TO_MODEL & {*result.counts, *result.figures}
    assert "first_model_audio" in result.figures
    assert ["callers' audio" in one for one in result.notes] == [True]


async def test_what_is_played_twice_is_counted(tmp_path: Path) -> None:
    counts = (await run_against(Stammering, tmp_path, ["duplicate_audio_ms=0"])).counts
    assert counts["duplicate_audio_ms"] > 1000
    assert (counts["lost_audio_ms"], counts["reordered_audio_ms"]) == (0, 0)


async def test_what_is_played_behind_what_follows_it_is_counted(tmp_path: Path) -> None:
    counts = (await run_against(Shuffling, tmp_path)).counts
    assert counts["reordered_audio_ms"] > 1000
    assert counts["duplicate_audio_ms"] == 0
