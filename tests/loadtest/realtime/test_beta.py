"""The beta's wire, for clients that ask for it: names, flat session, formats, refusals."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Annotated, Any

import pytest
from openai.types.beta.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import BaseModel, Field, TypeAdapter

from loadtest.realtime import SimulatedRealtime
from loadtest.realtime.formats import AudioFormat
from tests.loadtest.realtime.conftest import INSTANT, Client, connected, speech

BETA = replace(INSTANT, dialect="beta")
HEADER = {"OpenAI-Beta": "realtime=v1"}
PREVIEW = "model=gpt-4o-realtime-preview-2024-10-01"
SESSION = {
    "turn_detection": {"type": "server_vad"},
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_ulaw",
    "voice": "alloy",
    "instructions": "Be brief.",
    "modalities": ["text", "audio"],
    "temperature": 0.9,
}
SERVER: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])


async def configured(client: Client, **changes: object) -> dict[str, Any]:
    await client.until("session.created")
    await client.send("session.update", session={**SESSION, **changes})
    session: dict[str, Any] = (await client.until("session.updated"))["session"]
    return session


async def test_a_session_is_set_up_and_echoed_in_the_flat_shape() -> None:
    async with (
        SimulatedRealtime(BETA) as server,
        connected(server, query=PREVIEW, **HEADER) as client,
    ):
        session = await configured(client)
    created = client.events[0]["session"]
    assert (created["input_audio_format"], created["output_audio_format"]) == ("pcm16", "pcm16")
    asked = SESSION.keys() - {"turn_detection", "modalities"}
    assert {key: session[key] for key in asked} == {key: SESSION[key] for key in asked}
    assert sorted(session["modalities"]) == ["audio", "text"]
    assert session["turn_detection"]["type"] == "server_vad"
    assert (session["object"], session["model"]) == (
        "realtime.session",
        "gpt-4o-realtime-preview-2024-10-01",
    )
    assert "audio" not in session
    assert "type" not in session


async def test_a_turn_is_answered_with_the_betas_events_in_its_order() -> None:
    async with (
        SimulatedRealtime(BETA) as server,
        connected(server, query=PREVIEW, **HEADER) as client,
    ):
        await configured(client)
        await client.talk()
        done = await client.until("response.done")
    talk = client.kinds()[2:]
    texts = ("response.audio_transcript.delta", "response.audio.delta")
    assert [kind for kind in talk if kind not in texts] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    (item,) = done["response"]["output"]
    assert [part["type"] for part in item["content"]] == ["audio"]
    assert sorted(done["response"]["modalities"]) == ["audio", "text"]
    assert done["response"]["output_audio_format"] == "g711_ulaw"


async def test_every_event_fits_the_types_of_the_beta() -> None:
    async with (
        SimulatedRealtime(replace(BETA, scenario="billing")) as server,
        connected(server, query=PREVIEW, **HEADER) as client,
    ):
        tools = [{"type": "function", "name": "route_call", "parameters": {"type": "object"}}]
        await configured(client, tools=tools)
        for _ in range(3):
            await client.talk()
            await client.until("response.done")
        for call in client.all("response.function_call_arguments.done"):
            await client.answer_tool(call)
            await client.until("conversation.item.created")
    problems = [problem for event in client.events for problem in problems_of(event)]
    assert problems == []
    assert client.all("response.function_call_arguments.done") != []


def problems_of(event: dict[str, Any]) -> list[str]:
    session = event.get("session")
    if isinstance(session, dict):  # sent, and in no typed model
        kept = {key: value for key, value in session.items() if key not in ("object", "expires_at")}
        event = {**event, "session": kept}
    return [f"{event['type']}: {name}" for name in extras(SERVER.validate_python(event))]


def extras(value: object) -> list[str]:
    if isinstance(value, list):
        return [name for one in value for name in extras(one)]
    if not isinstance(value, BaseModel):
        return []
    inside = [name for key in value.model_fields_set for name in extras(getattr(value, key, None))]
    return [*(value.model_extra or {}), *inside]


@pytest.mark.parametrize(
    ("name", "audio_format"),
    [("pcm16", AudioFormat.PCM), ("g711_ulaw", AudioFormat.PCMU), ("g711_alaw", AudioFormat.PCMA)],
)
async def test_each_format_is_heard_and_spoken(name: str, audio_format: AudioFormat) -> None:
    async with (
        SimulatedRealtime(BETA) as server,
        connected(server, query=PREVIEW, **HEADER) as client,
    ):
        await configured(client, input_audio_format=name, output_audio_format=name)
        await client.append(
            speech(audio_format) + audio_format.silence(700), 20 * audio_format.bytes_per_ms
        )
        await client.until("response.done")
        record = await server.session()
    audio = b"".join(base64.b64decode(e["delta"]) for e in client.all("response.audio.delta"))
    assert audio_format.duration_ms(len(audio)) == record.responses[0].audio_ms
    assert record.faults == []


async def test_the_assistants_own_words_are_told_as_text_content() -> None:
    async with (
        SimulatedRealtime(BETA) as server,
        connected(server, query=PREVIEW, **HEADER) as client,
    ):
        await configured(client)
        content = [{"type": "text", "text": "How can I help?"}]
        item = {"type": "message", "role": "assistant", "content": content}
        await client.send("conversation.item.create", item=item)
        created = await client.until("conversation.item.created")
    assert created["item"]["content"] == content


async def test_a_response_may_be_text_and_in_its_own_voice() -> None:
    async with (
        SimulatedRealtime(BETA) as server,
        connected(server, query=PREVIEW, **HEADER) as client,
    ):
        await configured(client)
        wanted = {"modalities": ["text"], "max_response_output_tokens": 200, "temperature": 0.7}
        await client.send("response.create", response=wanted)
        done = await client.until("response.done")
    assert done["response"]["modalities"] == ["text"]
    assert done["response"]["max_output_tokens"] == 200
    assert client.all("response.text.done") != []


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "the GA's type": ({"type": "realtime"}, "unknown_parameter", "session.type"),
    "the GA's audio": ({"audio": {}}, "unknown_parameter", "session.audio"),
    "the GA's format": (
        {"input_audio_format": "audio/pcmu"},
        "invalid_value",
        "session.input_audio_format",
    ),
    "audio alone": ({"modalities": ["audio"]}, "invalid_value", "session.modalities"),
    "too hot": ({"temperature": 1.5}, "invalid_value", "session.temperature"),
}


@pytest.mark.parametrize(("change", "code", "param"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_the_beta_did_not_know_is_refused(
    change: dict[str, Any], code: str, param: str
) -> None:
    async with (
        SimulatedRealtime(BETA) as server,
        connected(server, query=PREVIEW, **HEADER) as client,
    ):
        await client.until("session.created")
        await client.send("session.update", session=change)
        error = (await client.until("error"))["error"]
    assert (error["code"], error["param"]) == (code, param)


async def test_an_event_that_never_was_is_refused_by_name() -> None:
    async with SimulatedRealtime(BETA) as server, connected(server, **HEADER) as client:
        await client.until("session.created")
        await client.send("session.destroy")
        error = (await client.until("error"))["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "type")


async def test_beside_the_beta_a_client_without_its_header_gets_the_ga() -> None:
    async with SimulatedRealtime(BETA) as server, connected(server) as client:
        updated = await client.configure()
    assert updated["session"]["audio"]["input"]["format"] == {"type": "audio/pcmu"}


async def test_a_preview_model_needs_the_header() -> None:
    async with SimulatedRealtime(BETA) as server, connected(server, query=PREVIEW) as client:
        error = (await client.until("error"))["error"]
    assert error["code"] == "model_not_found"
