"""Configuration, turns and answers over a real socket."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace

import pytest

from audiocodecs import ulaw_level_dbfs
from loadtest.realtime import SimulatedRealtime, assistant_lines
from loadtest.realtime.formats import AudioFormat
from loadtest.realtime.script import CallerTurn, Greeting
from tests.loadtest.realtime.conftest import FAST, INSTANT, connected, speech

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
]
ANSWER = [
    "response.created",
    "rate_limits.updated",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


def first_of_each(kinds: list[str]) -> list[str]:
    """Deltas of sound and words alternate: keep the first of each."""
    deltas = [kind for kind in dict.fromkeys(kinds) if kind.endswith(".delta")]
    seen: list[str] = []
    for kind in kinds:
        if kind not in deltas or kind not in seen:
            seen.append(kind)
    return seen


async def test_a_turn_and_its_answer_come_in_the_documented_order() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.talk()
        await client.until("response.done")
    assert first_of_each(client.kinds()) == ["session.created", "session.updated", *TURN, *ANSWER]


async def test_ids_tie_the_events_of_an_answer_together() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.talk()
        done = await client.until("response.done")
    (user_item,) = {e["item_id"] for e in client.events if e["type"].startswith("input_audio")}
    (item,) = done["response"]["output"]
    deltas = client.all("response.output_audio.delta")
    ids = {(e["response_id"], e["item_id"], e["output_index"], e["content_index"]) for e in deltas}
    assert ids == {(done["response"]["id"], item["id"], 0, 0)}
    user_added, item_added = client.all("conversation.item.added")
    assert (user_added["item"]["id"], user_added["previous_item_id"]) == (user_item, None)
    assert (item_added["item"]["id"], item_added["previous_item_id"]) == (item["id"], user_item)
    assert item_added["item"] == {**item, "status": "in_progress", "content": []}
    assert len({event["event_id"] for event in client.events}) == len(client.events)


async def test_the_answer_is_the_line_in_sound_and_words() -> None:
    options = replace(INSTANT, scenario="schedule")
    async with SimulatedRealtime(options) as server, connected(server) as client:
        await client.configure()
        await client.talk()
        done = await client.until("response.done")
    audio = b"".join(b64decode(e["delta"]) for e in client.all("response.output_audio.delta"))
    assert audio == assistant_lines().audio("ask_name", AudioFormat.PCMU)
    words = "".join(e["delta"] for e in client.all("response.output_audio_transcript.delta"))
    assert words == "Of course. May I have your name, please?"
    assert done["response"]["output"][0]["content"] == [
        {"type": "output_audio", "transcript": words}
    ]


@pytest.mark.parametrize("audio_format", list(AudioFormat), ids=lambda f: f.name)
async def test_every_format_is_spoken_and_understood(audio_format: AudioFormat) -> None:
    wire = audio_format.to_wire()
    audio = {"input": {"format": wire}, "output": {"format": wire}}
    async with SimulatedRealtime(replace(INSTANT, scenario="schedule")) as server:
        async with connected(server) as client:
            await client.until("session.created")
            await client.send("session.update", session={"type": "realtime", "audio": audio})
            await client.until("session.updated")
            sound = speech(audio_format) + audio_format.silence(600)
            await client.append(sound, chunk_bytes=20 * audio_format.bytes_per_ms)
            await client.until("response.done")
        assert server.sessions[0].faults == []
    spoken = b"".join(b64decode(e["delta"]) for e in client.all("response.output_audio.delta"))
    assert spoken == assistant_lines().audio("ask_name", audio_format)


async def test_speech_is_placed_on_the_clock_of_appended_audio() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.hush(2000)
        await client.append(speech())
        await client.hush(1000)
        await client.until("response.done")
        record = await server.session()
        await record.wait_for(lambda record: record.appended_ms == 2000 + 1385 + 1000)
    (start,) = client.all("input_audio_buffer.speech_started")
    (stop,) = client.all("input_audio_buffer.speech_stopped")
    # The prefix (300 ms) comes off the onset, the silence (500 ms) is waited for after the end.
    assert 1700 <= start["audio_start_ms"] <= 1900
    assert 2000 + 900 + 500 <= stop["audio_end_ms"] <= 2000 + 1385 + 500
    (turn,) = record.turns
    assert (turn.audio_start_ms, turn.audio_end_ms) == (
        start["audio_start_ms"],
        stop["audio_end_ms"],
    )


async def test_a_new_configuration_does_not_turn_the_clock_back() -> None:
    pcm = {"type": "realtime", "audio": {"input": {"format": AudioFormat.PCM.to_wire()}}}
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.hush(1500)
        await client.send("session.update", session=pcm)
        await client.until("session.updated")
        sound = AudioFormat.PCM.silence(500) + speech(AudioFormat.PCM)
        await client.append(sound + AudioFormat.PCM.silence(700), chunk_bytes=960)
        await client.until("response.done")
    (start,) = client.all("input_audio_buffer.speech_started")
    assert 1700 <= start["audio_start_ms"] <= 1900
    assert server.sessions[0].appended_ms == 1500 + 500 + 1385 + 700


async def test_the_chunking_of_appended_audio_does_not_matter() -> None:
    audio = AudioFormat.PCMU.silence(400) + speech() + AudioFormat.PCMU.silence(1000)
    placed = []
    for chunk_bytes in (160, 1, 777, len(audio)):
        async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
            await client.configure()
            await client.append(audio, chunk_bytes)
            await client.until("response.done")
        (turn,) = server.sessions[0].turns
        placed.append((turn.audio_start_ms, turn.audio_end_ms))
    assert len(set(placed)) == 1


async def test_the_client_asks_for_the_greeting() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.send("response.create", response={"metadata": {"purpose": "greeting"}})
        done = await client.until("response.done")
        record = await server.session()
    assert done["response"]["metadata"] == {"purpose": "greeting"}
    assert done["response"]["output"][0]["content"][0]["transcript"].startswith("Thank you for")
    (response,) = record.responses
    assert (response.trigger, response.automatic) == (Greeting(), False)


async def test_without_create_response_the_client_decides_when() -> None:
    detection = {"type": "server_vad", "silence_duration_ms": 500, "create_response": False}
    async with SimulatedRealtime(replace(INSTANT, scenario="faq")) as server:
        async with connected(server) as client:
            await client.configure(turn_detection=detection)
            await client.talk()
            await client.until("conversation.item.input_audio_transcription.completed")
            assert client.all("response.created") == []
            await client.send("response.create")
            await client.until("response.done")
        assert server.sessions[0].responses[0].trigger == CallerTurn(1)


async def test_manual_turns_are_committed_by_hand() -> None:
    async with SimulatedRealtime(replace(INSTANT, scenario="faq")) as server:
        async with connected(server) as client:
            await client.configure(turn_detection=None)
            await client.talk()
            await client.send("input_audio_buffer.commit")
            committed = await client.until("input_audio_buffer.committed")
            await client.send("input_audio_buffer.commit")
            empty = await client.until("error")
            await client.append(speech(), chunk_bytes=160)
            await client.send("input_audio_buffer.clear")
            await client.until("input_audio_buffer.cleared")
            await client.send("input_audio_buffer.commit")
            cleared = await client.until("error")
        (turn,) = server.sessions[0].turns
    assert committed["item_id"] == turn.item_id
    assert (turn.audio_start_ms, turn.audio_end_ms) == (0, 1385 + 700)
    assert {empty["error"]["code"], cleared["error"]["code"]} == {"input_audio_buffer_commit_empty"}
    assert "Expected at least 100ms of audio" in empty["error"]["message"]
    assert client.all("input_audio_buffer.speech_started") == []


async def test_a_cleared_buffer_is_no_turn() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.append(speech())
        await client.until("input_audio_buffer.speech_started")
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        await client.hush(2000)
        await client.talk()
        await client.until("input_audio_buffer.speech_stopped")
        (turn,) = (await server.session()).turns
    assert turn.audio_start_ms > 1385 + 2000 - 300


async def test_a_refused_configuration_leaves_the_session_at_pcm() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.until("session.created")
        wrong = {"type": "realtime", "instructions": "x", "temperature": 0.7}
        await client.send("session.update", event_id="mine", session=wrong)
        error = await client.until("error")
        await client.send("session.update", session={"type": "realtime"})
        updated = await client.until("session.updated")
    assert error["error"] == {
        "type": "invalid_request_error",
        "code": "unknown_parameter",
        "message": "Unknown parameter: 'session.temperature'.",
        "param": "session.temperature",
        "event_id": "mine",
    }
    session = updated["session"]
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session["instructions"] != "x"
    assert [fault.what for fault in server.sessions[0].faults] == ["unknown_parameter"]


async def test_the_voice_can_not_change_after_it_was_heard() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.send("response.create")
        await client.until("response.done")
        change = {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}
        await client.send("session.update", session=change)
        assert (await client.until("error"))["error"]["code"] == "cannot_update_voice"


async def test_mulaw_sent_as_pcm_is_answered_with_an_error_and_noise() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.until("session.created")
        output = {"format": {"type": "audio/pcmu"}}
        session = {"type": "realtime", "audio": {"output": output}}
        await client.send("session.update", session=session)
        await client.until("session.updated")
        await client.append(speech(line="long_answer"))
        error = await client.until("error")
        await client.append(AudioFormat.PCM.silence(600), chunk_bytes=960)
        await client.until("response.done")
        faults = [(fault.what, fault.detail) for fault in server.sessions[0].faults]
    assert error["error"]["message"] == (
        "The audio appended is not audio/pcm: it looks like G.711."
    )
    assert faults == [("wrong_format", "G.711 instead of audio/pcm")]
    spoken = b"".join(b64decode(e["delta"]) for e in client.all("response.output_audio.delta"))
    assert ulaw_level_dbfs(spoken) == pytest.approx(-12, abs=1)


async def test_pcm_sent_as_mulaw_is_noticed() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.append(speech(AudioFormat.PCM), chunk_bytes=960)
        assert "looks like PCM16" in (await client.until("error"))["error"]["message"]


BROKEN = {
    "not base64": ("input_audio_buffer.append", {"audio": "a"}, "invalid_value"),
    "not a string": ("input_audio_buffer.append", {"audio": 5}, "invalid_type"),
    "no audio": ("input_audio_buffer.append", {}, "missing_required_parameter"),
    "one key too many": (
        "input_audio_buffer.append",
        {"audio": "", "rate": 1},
        "unknown_parameter",
    ),
    "unknown event": ("session.destroy", {}, "invalid_value"),
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("kind", "fields", "code"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_event_costs_only_itself(
    kind: str, fields: dict[str, object], code: str, strict: bool
) -> None:
    options = replace(INSTANT, strict=strict)
    async with SimulatedRealtime(options) as server, connected(server) as client:
        await client.configure()
        await client.send(kind, **fields)
        error = await client.until("error")
        await client.talk()
        done = await client.until("response.done")
    # Without strictness an append is looked at only as far as its audio.
    assert error["error"]["code"] in (code, "invalid_value")
    assert done["response"]["status"] == "completed"


@pytest.mark.parametrize("text", ["{", "[]", "7", '"x"', ""])
async def test_text_that_is_no_event_is_refused(text: str) -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.socket.send(text)
        await client.until("error")
        await client.socket.send(b"\x00\x01")
        await client.talk()
        await client.until("response.done")
    assert server.sessions[0].faults[-1].what == "binary_frame"


async def test_fragmented_frames_are_put_together() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.socket.send(iter(['{"type": "resp', "onse.cre", 'ate"}']))
        done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_usage_counts_audio_by_its_length_and_cached_tokens_as_a_subset() -> None:
    async with (
        SimulatedRealtime(replace(INSTANT, scenario="faq")) as server,
        connected(server) as client,
    ):
        await client.configure(instructions="Be brief. " * 200)
        usages = []
        for _ in range(2):
            await client.talk()
            usages.append((await client.until("response.done"))["response"]["usage"])
    first, second = usages
    (turn, _) = server.sessions[0].turns
    heard_ms = turn.audio_end_ms - turn.audio_start_ms
    assert first["input_token_details"]["audio_tokens"] == -(-heard_ms // 100)
    assert first["input_token_details"]["cached_tokens"] == 0
    # answer_hours lasts 7855 ms.
    assert first["output_token_details"]["audio_tokens"] == -(-7855 // 50)
    details = second["input_token_details"]
    assert details["audio_tokens"] > first["input_token_details"]["audio_tokens"] + 158
    assert details["cached_tokens"] >= 512
    assert details["cached_tokens"] == sum(details["cached_tokens_details"].values())
    assert details["cached_tokens"] % 64 == 0
    for usage in usages:
        assert usage["input_tokens"] == (
            usage["input_token_details"]["text_tokens"]
            + usage["input_token_details"]["audio_tokens"]
        )
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_the_same_seed_gives_the_same_session() -> None:
    async def play() -> list[dict[str, object]]:
        async with (
            SimulatedRealtime(replace(INSTANT, seed=7)) as server,
            connected(server) as client,
        ):
            await client.configure()
            await client.talk()
            await client.until("response.done")
        return [event for event in client.events if not event["type"].startswith("session")]

    assert await play() == await play()


async def test_audio_comes_about_five_times_faster_than_it_plays() -> None:
    options = replace(FAST, scenario="long_answer")
    async with SimulatedRealtime(options) as server, connected(server) as client:
        await client.configure()
        await client.talk()
        await client.until("response.done")
        (response,) = server.sessions[0].responses
    assert response.first_audio_s is not None
    assert response.done_s is not None
    assert response.audio_ms >= 17_055
    # Never faster than promised; how much slower is the machine's business.
    assert response.done_s - response.first_audio_s >= 17.055 / 5 * 0.9


async def test_timeline_tells_the_course_of_a_call() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.talk()
        await client.until("response.done")
        record = await server.session()
        await client.socket.close()
        ending = await record.wait_closed()
    assert [entry.what for entry in record.timeline] == [
        "opened",
        "session_created",
        "session_updated",
        "speech_started",
        "speech_stopped",
        "response_created",
        "first_audio",
        "response_done",
        "closed",
    ]
    times = [entry.at_s for entry in record.timeline]
    assert times == sorted(times)
    assert (ending.by, ending.code) == ("client", 1000)
