"""``triage-bridge demo`` as a newcomer runs it: a real process, heard and read afterwards."""

from __future__ import annotations

import asyncio
import json
import random
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from audiocodecs import WavAudio, read_wav, ulaw_to_pcm16
from bridge.cli._demo_bridge import TRIAGE_FILE
from bridge.cli.demo import simulated_twilio
from dispatch.rest import TwilioRest
from dispatch.rest_client import RestClient, RestSettings
from loadtest.demo import demo_call
from loadtest.demo.voice import demo_lines, spoken
from loadtest.realtime import SimulatedRealtime, SimulatorOptions
from loadtest.twilio.audio import is_audible
from tests.bridge.cli.conftest import Ended, Run, spawn

CALL_WITHIN_S = 110
TOLERANCE_MS = 25
"""Between an event and the sample it is about: one frame, and rounding."""
GREETING = "Thank you for calling Acme Plumbing. How can I help you today?"
ANSWER = demo_lines().text("long_answer")
CLOSING = (
    "Got it. I will pass you to our scheduling line with everything you told me. One moment please."
)


def demo(out: Path, *arguments: str, **environ: str) -> Ended:
    with spawn(["demo", "--out", str(out), *arguments], environ) as process:
        stdout, stderr = process.communicate(timeout=CALL_WITHIN_S)
    return Ended(process.returncode, stdout, stderr)


def timeline(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def of_kind(entries: list[dict[str, Any]], source: str, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in entries if (entry["source"], entry["kind"]) == (source, kind)]


def tracks(audio: WavAudio) -> tuple[bytes, bytes]:
    """Caller and assistant, mu-law."""
    ulaw = audio.ulaw()
    return ulaw[0::2], ulaw[1::2]


def audible_ms(track: bytes) -> set[int]:
    """The starts of the 20 ms frames that can be heard."""
    frames = range(0, len(track), 160)
    return {start // 8 for start in frames if is_audible(track[start : start + 160])}


def steps(ulaw: bytes) -> NDArray[np.int64]:
    """From sample to sample: a click is a step larger than any in the speech itself."""
    samples = np.frombuffer(ulaw_to_pcm16(ulaw), dtype="<i2").astype(np.int64)
    return np.abs(np.diff(samples))


def line_in(text: str, track: bytes) -> tuple[int, int]:
    """Where a whole line lies, in milliseconds. Byte for byte, so nothing is missing in it."""
    ulaw = spoken(text)
    assert ulaw is not None
    start = track.find(ulaw)
    assert start >= 0, f"not heard whole: {text}"
    return start // 8, (start + len(ulaw)) // 8


def heard_of(text: str, track: bytes) -> tuple[int, int]:
    """Where the beginning of a line lies, as far as it goes, in milliseconds."""
    ulaw = spoken(text)
    assert ulaw is not None
    start = track.find(ulaw[:4000])
    assert start >= 0
    length = next(n for n in range(4000, len(ulaw)) if track[start + n] != ulaw[n])
    return start // 8, (start + length) // 8


def check_sound(audio: WavAudio, entries: list[dict[str, Any]]) -> None:
    """What a listener would notice: missing words, clicks, gaps, two voices at a time."""
    caller, assistant = tracks(audio)
    call = demo_call("schedule")
    for one in call.spoken:
        assert b"".join(frame.ulaw for frame in one.clip.frames) in caller, one.text
    first_mark = of_kind(entries, "twilio", "mark")[0]["ms"]
    assert abs(line_in(GREETING, assistant)[0] - first_mark) <= TOLERANCE_MS
    (closed,) = of_kind(entries, "twilio", "stream_closed")
    assert line_in(CLOSING, assistant)[1] <= closed["ms"] + TOLERANCE_MS

    (cut,) = of_kind(entries, "bridge", "barge_in")
    began, ended = heard_of(ANSWER, assistant)
    (cleared,) = of_kind(entries, "twilio", "clear")
    assert abs(ended - cleared["ms"]) <= TOLERANCE_MS
    assert {assistant[at] for at in range(ended * 8 + 160, ended * 8 + 8000)} == {0xFF}
    # The bridge counts what is silent at first as heard, too; the line begins behind it.
    assert ended - began - 200 < cut["heard_ms"] < min(ended - began + 400, cut["sent_ms"])
    both = audible_ms(caller) & audible_ms(assistant)
    assert both, "nobody talked over anybody"
    interrupted = of_kind(entries, "twilio", "caller_speech_started")[1]["ms"]
    assert interrupted - TOLERANCE_MS <= min(both) <= max(both) <= ended

    said = [entry["words"] for entry in of_kind(entries, "bridge", "assistant_said")]
    lines = [spoken(text) for text in (GREETING, ANSWER, *said)]
    loudest = max(int(steps(ulaw).max()) for ulaw in lines if ulaw is not None)
    assert int(steps(assistant).max()) <= loudest


def check_timeline(entries: list[dict[str, Any]]) -> None:
    assert [entry["ms"] for entry in entries] == sorted(entry["ms"] for entry in entries)
    assert set(Counter(entry["source"] for entry in entries)) == {"bridge", "twilio", "model"}
    turns = of_kind(entries, "bridge", "turn")
    assert [turn["used_tool"] for turn in turns] == [False, False, False, True]
    said = [entry["words"] for entry in of_kind(entries, "bridge", "caller_said")]
    assert said == [one.text for one in demo_call("schedule").spoken]
    (route,) = of_kind(entries, "bridge", "settled")
    assert (route["route"], route["reason"]) == ("studio_return", "route_requested")
    assert of_kind(entries, "model", "conversation.item.truncate")
    assert not [entry for entry in entries if entry["kind"] == "error"]


def test_a_call_is_shown_interrupted_heard_out_and_back_in_studio(tmp_path: Path) -> None:
    """One run for everything, because it takes as long as the call."""
    out = tmp_path / "demo"
    ended = demo(out, "--call", "schedule", "--profile", "fast", OPENAI_API_KEY="sk-not-used")
    assert (ended.status, ended.err) == (0, "")
    assert "\x1b" not in ended.out
    for shown in (
        f'assistant  "{GREETING}" (from the cache)',
        'caller     "What kind of work do you do?"',
        'assistant  "We repair leaks, clean drains',
        "barge-in   heard ",
        "of 800 ms",
        "of 1400 ms",
        "decision   the model calls route_call",
        "<Redirect",
        "the call is back in Studio, flow FW00000000000000000000000000000001",
        "intent     schedule",
        "name       Rachel Kim",
        f"recording  {out}/call.wav",
        f"timeline   {out}/timeline.jsonl",
    ):
        assert shown in ended.out
    audio = read_wav(out / "schedule" / "call.wav")
    entries = timeline(out / "schedule" / "timeline.jsonl")
    assert (audio.channels, audio.rate_hz) == (2, 8000)
    check_sound(audio, entries)
    check_timeline(entries)
    assert (out / "call.wav").read_bytes() == (out / "schedule" / "call.wav").read_bytes()
    together = timeline(out / "timeline.jsonl")
    assert together == [{**entry, "wav_ms": entry["ms"]} for entry in entries]
    log = timeline(out / "bridge.log")
    assert "call_decided" in {line["event"] for line in log}
    assert "sk-not-used" not in (out / "bridge.log").read_text()


async def test_the_same_caller_calls_whatever_speaks_the_realtime_api(tmp_path: Path) -> None:
    """Somebody else's model, reached with the operator's key; nothing of it is simulated here."""
    options = SimulatorOptions(
        scenario=demo_call("emergency").scenario, profile="fast", api_keys=["sk-operators-own"]
    )
    arguments = ("--call", "emergency", "--realtime", "openai")
    async with SimulatedRealtime(options) as model:
        environ = {"OPENAI_API_KEY": "sk-operators-own", "REALTIME_URL": model.url}
        ended = await asyncio.to_thread(lambda: demo(tmp_path, *arguments, **environ))
        heard = [turn.number for session in model.sessions for turn in session.turns]
        faults = [fault for session in model.sessions for fault in session.faults]
    assert (ended.status, ended.err) == (0, "")
    assert f"the Realtime API at {model.url}" in ended.out
    assert (heard, faults) == ([1], [])
    entries = timeline(tmp_path / "timeline.jsonl")
    assert {entry["source"] for entry in entries} == {"bridge", "twilio"}
    (route,) = of_kind(entries, "bridge", "settled")
    assert (route["route"], route["reason"]) == ("flex", "trigger")


async def test_the_simulated_account_has_the_workspaces_that_the_triage_file_names() -> None:
    """A call's Task is looked for there afterwards: elsewhere it would be a dead letter."""
    routes = tomllib.loads(TRIAGE_FILE.read_text(encoding="utf-8"))["routes"]
    named = {route["workspace_sid"] for route in routes.values() if "workspace_sid" in route}
    async with simulated_twilio(9, seed=1) as twilio:
        settings = RestSettings(
            twilio.settings.account_sid,
            twilio.settings.account_sid,
            SecretStr(twilio.settings.auth_token),
            twilio.rest_url,
        )
        client = RestClient(settings, random.Random(1))
        rest = TwilioRest(client)
        missing = [one for one in named if await rest.task_channels(one) is None]
        await client.close()
    assert (bool(named), missing) == (True, [])


def test_a_call_that_does_not_arrive_ends_the_demo_with_1(tmp_path: Path) -> None:
    """There is no model at all, so the question is not answered."""
    environ = {"OPENAI_API_KEY": "sk-made-up", "REALTIME_URL": "ws://127.0.0.1:9/v1/realtime"}
    ended = demo(tmp_path, "--call", "question", "--realtime", "openai", **environ)
    assert (ended.status, ended.err) == (1, "")
    assert "expected resolved on the line, got Studio" in ended.out
    assert "failed" in ended.out.partition("Summary")[2]
    assert (tmp_path / "question" / "call.wav").is_file()


def test_the_real_model_is_not_tried_without_a_key(run: Run, tmp_path: Path) -> None:
    ended = run("demo", "--realtime", "openai", "--out", str(tmp_path))
    assert ended == Ended(
        2,
        "",
        "Error: 1 fault in the configuration\n"
        "  - OPENAI_API_KEY is not set, expected the key of the Realtime API\n",
    )


def test_an_unknown_call_is_refused_with_those_there_are(run: Run) -> None:
    ended = run("demo", "--call", "pizza")
    assert ended.status == 2
    assert "'pizza' is not one of 'emergency', 'schedule', 'billing', 'question'" in ended.err


def test_a_folder_that_cannot_be_written_is_told_before_anybody_calls(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    ended = run("demo", "--out", str(tmp_path / "file" / "demo"))
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == f"Error: cannot write {tmp_path}/file/demo/bridge.log: Not a directory\n"
