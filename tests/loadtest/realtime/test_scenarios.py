"""Every shipped scenario, played through by the ``openai`` package's own client.

Each event that the server sent, in every session, is judged by that package's types: unknown keys
are faults. The shipped recordings of the assistant stand in for the caller.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeConversationItemFunctionCall, ResponseDoneEvent

from loadtest.realtime import (
    FaultPlan,
    SessionRecord,
    SimulatedRealtime,
    load_scenario,
    scenario_names,
)
from loadtest.realtime.formats import AudioFormat
from tests.loadtest.realtime.conftest import INSTANT, MODEL, speech, telephone_settings
from tests.oracle_openai import OpenAIOracle


@asynccontextmanager
async def sdk_connection(server: SimulatedRealtime) -> AsyncIterator[AsyncRealtimeConnection]:
    url = f"ws://127.0.0.1:{server.port}/v1"
    async with (
        AsyncOpenAI(api_key="sk-test", websocket_base_url=url) as client,
        client.realtime.connect(model=MODEL) as connection,
    ):
        yield connection


async def until_done(connection: AsyncRealtimeConnection) -> ResponseDoneEvent:
    async with asyncio.timeout(10):
        async for event in connection:
            if event.type == "response.done":
                assert isinstance(event, ResponseDoneEvent)
                return event
    raise AssertionError("the connection ended")


async def talk(connection: AsyncRealtimeConnection) -> None:
    audio = speech() + AudioFormat.PCMU.silence(700)
    for start in range(0, len(audio), 160):
        await connection.send_raw(append(audio[start : start + 160]))


def append(audio: bytes) -> str:
    return orjson.dumps(
        {"type": "input_audio_buffer.append", "audio": b64encode(audio).decode()}
    ).decode()


async def play(server: SimulatedRealtime, scenario: str) -> SessionRecord:
    """A whole call: greeting, every turn, tools answered, failures asked for again."""
    async with sdk_connection(server) as connection:
        await connection.send_raw(
            orjson.dumps({"type": "session.update", "session": telephone_settings()}).decode()
        )
        await connection.response.create()
        await until_done(connection)
        for _ in load_scenario(scenario).caller_turns or ("one", "two"):
            await talk(connection)
            await answer_until_quiet(connection)
        aside = {"conversation": "none", "output_modalities": ["text"]}
        await connection.response.create(response=aside)  # type: ignore[arg-type]
        await until_done(connection)
    await server.wait_idle()
    return server.sessions[0]


async def answer_until_quiet(connection: AsyncRealtimeConnection) -> None:
    """As a bridge does: outputs for all calls, then one response; a failed one is asked again."""
    for _ in range(3):
        response = (await until_done(connection)).response
        calls = [
            item
            for item in response.output or []
            if isinstance(item, RealtimeConversationItemFunctionCall)
        ]
        for call in calls:
            assert call.call_id is not None
            await connection.conversation.item.create(
                item={"type": "function_call_output", "call_id": call.call_id, "output": "{}"}
            )
        if not calls and response.status == "completed":
            return
        await connection.response.create()


COMPLETE = [name for name in scenario_names() if name not in ("dropping", "stalling")]


@pytest.mark.parametrize("name", COMPLETE)
async def test_whole_sessions_speak_only_the_documented_language(
    name: str, openai_oracle: OpenAIOracle
) -> None:
    async with SimulatedRealtime(replace(INSTANT, scenario=name)) as server:
        record = await play(server, name)
    faults = [
        (event["type"], fault)
        for _, event in record.events_sent
        for fault in openai_oracle.server_faults(orjson.dumps(event))
    ]
    assert faults == []
    assert [fault.what for fault in record.faults] == []
    assert sum(record.sent.values()) == len(record.events_sent)
    spoken = [response for response in record.responses if response.audio_ms]
    assert len(spoken) >= 2


@pytest.mark.parametrize("name", ["schedule", "human", "many_items", "rate_limited"])
async def test_the_timing_of_a_profile_changes_no_event(
    name: str, openai_oracle: OpenAIOracle
) -> None:
    """Under delays the same session is valid too, with failing transcripts beside."""
    options = replace(
        INSTANT,
        scenario=name,
        profile="fast",
        faults=FaultPlan(failed_transcripts=frozenset({1}), duplicate_transcripts=True),
    )
    async with SimulatedRealtime(options) as server, sdk_connection(server) as connection:
        await connection.send_raw(
            orjson.dumps({"type": "session.update", "session": telephone_settings()}).decode()
        )
        await talk(connection)
        await until_done(connection)
        record = await server.session()
        await record.wait_for_sent("conversation.item.input_audio_transcription.failed")
        events = [orjson.dumps(event) for _, event in record.events_sent]
    assert [openai_oracle.server_faults(event) for event in events] == [[]] * len(events)


ROUTES = {
    "emergency": ("route_call", "emergency"),
    "schedule": ("route_call", "schedule"),
    "billing": ("route_call", "billing"),
    "voicemail": ("route_call", "other"),
    "demo": ("route_call", "schedule"),
    "faq": ("end_call", "faq"),
    "human": ("escalate", None),
}


@pytest.mark.parametrize(("name", "route"), ROUTES.items(), ids=ROUTES.keys())
async def test_the_calls_of_the_corpus_end_where_they_should(
    name: str, route: tuple[str, str | None]
) -> None:
    async with SimulatedRealtime(replace(INSTANT, scenario=name)) as server:
        record = await play(server, name)
    tool, intent = route
    calls = [
        item
        for _, event in record.events_sent
        if event["type"] == "response.done"
        for item in event["response"]["output"]
        if item["type"] == "function_call"
    ]
    assert [call["name"] for call in calls] == [tool]
    assert orjson.loads(calls[0]["arguments"]).get("intent") == intent
    assert [answer.tool for answer in record.tool_outputs] == [tool]


async def test_the_sdk_reads_the_effective_configuration() -> None:
    async with SimulatedRealtime(INSTANT) as server, sdk_connection(server) as connection:
        created = await connection.recv()
        assert created.type == "session.created"
        await connection.session.update(
            session={"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcmu"}}}}
        )
        updated = await connection.recv()
    assert updated.type == "session.updated"
    assert updated.session.type == "realtime"
    assert updated.session.audio is not None
    assert updated.session.audio.input is not None
    assert updated.session.audio.input.format is not None
    assert updated.session.audio.input.format.type == "audio/pcmu"
    assert updated.session.audio.input.turn_detection is not None
