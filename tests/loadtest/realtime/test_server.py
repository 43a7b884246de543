"""Many sessions on one server, who gets which script, and what is left when it closes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from audiocodecs import read_wav
from loadtest.realtime import (
    KnownCall,
    LineError,
    LineLibrary,
    Scenario,
    ScenarioError,
    SimulatedRealtime,
    load_scenario,
)
from loadtest.realtime.formats import AudioFormat
from loadtest.realtime.scenario import Say, Step
from loadtest.realtime.session import RealtimeSession
from tests.loadtest.realtime.conftest import FAST, INSTANT, MODEL, Client, connected, speech

CORPUS = Path(__file__).parents[4] / "shared" / "corpus"


def sessions_alive() -> int:
    gc.collect()
    return sum(type(one) is RealtimeSession for one in gc.get_objects())


async def call(server: SimulatedRealtime) -> str:
    """One turn; returns the status of the answer."""
    async with connected(server) as client:
        await client.configure()
        await client.talk(chunk_bytes=1600)
        return str((await client.until("response.done"))["response"]["status"])


async def test_of_a_session_that_is_over_only_its_record_is_kept() -> None:
    """For hours of calls: the audio and the conversation of each would fill the memory."""
    before = sessions_alive()
    async with SimulatedRealtime(replace(FAST, scenario="schedule", keep_events=False)) as server:
        await asyncio.gather(*(call(server) for _ in range(10)))
        await server.wait_idle()
        left = sessions_alive() - before
        appended_ms = [record.appended_clock_ms() for record in server.sessions]
    assert left <= 1  # the one whose frames are still on the stack
    assert len(appended_ms) == 10
    assert min(appended_ms) > 0


async def test_a_hundred_sessions_at_once_leave_nothing_behind() -> None:
    before = asyncio.all_tasks()
    options = replace(FAST, scenario="schedule", keep_events=False)
    async with SimulatedRealtime(options) as server:
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(call(server)) for _ in range(100)]
        await server.wait_idle()
        assert [each.result() for each in calls] == ["completed"] * 100
        counts = server.connections
        assert (counts.total, counts.open, counts.rejected) == (100, 0, 0)
        port = server.port
    assert asyncio.all_tasks() == before
    assert [len(record.turns) for record in server.sessions] == [1] * 100
    assert len({record.session_id for record in server.sessions}) == 100
    assert [record.events_sent for record in server.sessions] == [[]] * 100
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


async def test_closing_ends_open_sessions_with_1001() -> None:
    async with SimulatedRealtime(FAST) as server:
        headers = {"Authorization": "Bearer x"}
        client = Client(await connect(f"{server.url}?model={MODEL}", additional_headers=headers))
        await client.configure()
        await client.send("response.create")
        await client.until("response.created")
    ending = server.sessions[0].ending
    assert ending is not None
    assert (ending.by, ending.code) == ("server", 1001)
    await client.socket.wait_closed()
    assert client.socket.close_code == 1001
    assert server.connections.open == 0


@pytest.mark.parametrize("code", [1000, 1001, 4321])
async def test_the_close_of_a_client_is_answered_and_noted(code: int) -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.socket.close(code, "enough")
        ending = await (await server.session()).wait_closed()
    assert client.socket.close_code == code
    assert (ending.by, ending.code, ending.reason) == ("client", code, "enough")


async def test_a_client_that_does_not_close_does_not_hold_the_server_up() -> None:
    async with SimulatedRealtime(INSTANT) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            f"GET /v1/realtime?model={MODEL} HTTP/1.1\r\nHost: localhost\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Authorization: Bearer x\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        await server.session()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    assert server.connections.open == 0


async def test_a_client_that_does_not_read_is_cut_off_and_the_others_notice_nothing() -> None:
    talkative = Scenario("talkative", (Step("otherwise", (Say(("long_answer",)),)),))
    options = replace(INSTANT, scenario=talkative, keep_events=False)
    headers = {"Authorization": "Bearer x"}
    async with SimulatedRealtime(options) as server:
        url = f"{server.url}?model={MODEL}"
        async with connect(url, additional_headers=headers, max_queue=1, close_timeout=0.1) as deaf:
            record = await server.session()
            # Seventeen seconds of PCM in each answer, over a megabyte as base64.
            with contextlib.suppress(ConnectionClosed):
                for _ in range(30):
                    await deaf.send('{"type": "response.create"}')
            assert await call(server) == "completed"
            ending = await record.wait_closed()
    assert [fault.what for fault in record.faults] == ["slow_reader"]
    assert ending.by == "lost"


async def test_a_scenario_is_chosen_by_the_number_of_the_session() -> None:
    options = replace(INSTANT, scenario=lambda index: ["faq", "schedule"][index])
    async with SimulatedRealtime(options) as server:
        await call(server)
        await call(server)
    assert [record.scenario for record in server.sessions] == ["faq", "schedule"]


async def test_a_known_recording_brings_its_own_script() -> None:
    lines = {name: speech(line=name) for name in ("answer_hours", "answer_sunday")}
    known = [
        KnownCall(recording, load_scenario("schedule"), (f"This is {name}.",))
        for name, recording in lines.items()
    ]
    options = replace(INSTANT, known_calls=known)
    async with SimulatedRealtime(options) as server:
        for name in ("answer_sunday", "clarify"):
            async with connected(server) as client:
                await client.configure()
                # Not aligned with the frames of the recording.
                await client.append(AudioFormat.PCMU.silence(333)[:-3])
                await client.talk(name)
                await client.until("response.done")
            (transcript,) = client.all("conversation.item.input_audio_transcription.completed")
            yielded = (server.sessions[-1].scenario, transcript["transcript"])
            if name == "answer_sunday":
                assert yielded == ("schedule", "This is answer_sunday.")
            else:
                assert yielded == ("reactive", "Caller turn 1.")


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of calls is not beside the project")
async def test_the_calls_of_the_corpus_are_told_apart_and_heard_turn_by_turn() -> None:
    rows = [json.loads(line) for line in (CORPUS / "calls.jsonl").read_text().splitlines()]
    audio = {row["call_sid"]: read_wav(CORPUS / row["recording"]).ulaw() for row in rows}
    known = [
        KnownCall(
            audio[row["call_sid"]],
            load_scenario("schedule"),
            tuple(turn["text"] for turn in row["turns"]),
        )
        for row in rows
    ]
    heard: dict[str, list[str]] = {}
    async with SimulatedRealtime(replace(INSTANT, known_calls=known)) as server:
        for row in rows[::7]:
            async with connected(server) as client:
                await client.configure()
                await client.append(audio[row["call_sid"]], chunk_bytes=1600)
                await client.hush(1000)
                await client.send("conversation.item.retrieve", item_id="end")
                await client.until("error")
            completed = client.all("conversation.item.input_audio_transcription.completed")
            heard[row["call_sid"]] = [event["transcript"] for event in completed]
    said = {row["call_sid"]: [turn["text"] for turn in row["turns"]] for row in rows[::7]}
    assert {sid: words[: len(said[sid])] for sid, words in heard.items()} == said


async def test_a_scenario_that_needs_a_missing_line_is_refused_before_it_serves() -> None:
    silent = LineLibrary({})
    with pytest.raises(LineError, match="no line named 'ask_callback'; there are: "):
        SimulatedRealtime(replace(INSTANT, scenario="schedule", lines=silent))
    with pytest.raises(ScenarioError, match="no scenario 'opera'"):
        SimulatedRealtime(replace(INSTANT, scenario="opera"))
    mute = Scenario("mute", (Step("turn", ()),))
    assert SimulatedRealtime(replace(INSTANT, scenario=mute, lines=silent)).options.lines is silent


def test_lines_are_read_from_a_folder_and_judged(tmp_path: Path) -> None:
    with pytest.raises(LineError, match=r"lines\.json"):
        LineLibrary.from_folder(tmp_path)
    (tmp_path / "lines.json").write_text('{"a": {"file": "a.wav"}}')
    with pytest.raises(LineError, match=r"a is .*, expected file and text"):
        LineLibrary.from_folder(tmp_path)


async def test_several_lines_make_one_item() -> None:
    both = Scenario("both", (Step("turn", (Say(("still_there", "ask_name")),)),))
    async with (
        SimulatedRealtime(replace(INSTANT, scenario=both)) as server,
        connected(server) as client,
    ):
        await client.configure()
        await client.talk()
        done = await client.until("response.done")
    (item,) = done["response"]["output"]
    assert item["content"][0]["transcript"] == (
        "Are you still there? Of course. May I have your name, please?"
    )


async def test_waiting_for_what_does_not_happen_tells_what_did() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        record = await server.session()
        with pytest.raises(TimeoutError, match=r"session 0: .* latest: opened, session_created"):
            await record.wait_for(lambda record: record.truncations != [], timeout_s=0.05)


async def test_the_program_serves_until_it_is_interrupted() -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.realtime", "--port", "0", "--scenario", "faq"),
        *("--profile", "fast", "--seed", "3", "--api-key", "sk-test"),
        stderr=asyncio.subprocess.PIPE,
    )
    assert program.stderr is not None
    try:
        serving = (await asyncio.wait_for(program.stderr.readline(), 60)).decode()
        url = serving.removeprefix("serving ").strip()
        headers = {"Authorization": "Bearer sk-test"}
        async with connect(f"{url}?model={MODEL}", additional_headers=headers) as socket_:
            client = Client(socket_)
            await client.configure()
            await client.talk()
            done = await client.until("response.done")
    finally:
        program.send_signal(signal.SIGINT)
        rest = await asyncio.wait_for(program.stderr.read(), 60)
    assert done["response"]["output"][0]["content"][0]["transcript"].startswith("We are open")
    assert await program.wait() == 0
    assert rest.decode() == "1 sessions, at most 1 at once\n"


async def test_the_program_says_what_is_wrong_with_its_scenario() -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.realtime", "--port", "0", "--scenario", "opera"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(program.communicate(), 60)
    assert program.returncode == 1
    assert errors.decode().startswith("Error: no scenario 'opera'; there are: billing, demo")
