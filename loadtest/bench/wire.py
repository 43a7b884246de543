"""The rig's own JSON of both wires, as bytes. Nothing here is shared with any bridge under test.

Twilio Media Streams as Twilio sends it; OpenAI Realtime (GA) as its server sends it. Numbers that
are strings on Twilio's wire are strings here.
"""

from __future__ import annotations

from typing import Any

import orjson

Json = dict[str, Any]

ACCOUNT_SID = "AC" + "0" * 32
PCMU = {"type": "audio/pcmu"}
PCM = {"type": "audio/pcm", "rate": 24_000}
MODEL = "gpt-realtime-2.1"

CONNECTED = b'{"event":"connected","protocol":"Call","version":"1.0.0"}'

MEDIA = (
    b'{"event":"media","sequenceNumber":"%d","streamSid":"%b","media":'
    b'{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"%b%b"}}'
)
"""sequence number, stream sid, chunk, timestamp ms, base64 head, base64 tail"""

AUDIO_DELTA = (
    b'{"type":"response.output_audio.delta","event_id":"event_%d","response_id":"%b","item_id":"%b",'
    b'"output_index":0,"content_index":0,"delta":"%b%b"}'
)
"""event number, response id, item id, base64 head, base64 tail"""

TRANSCRIPT_DELTA = (
    b'{"type":"response.output_audio_transcript.delta","event_id":"event_%d","response_id":"%b",'
    b'"item_id":"%b","output_index":0,"content_index":0,"delta":"%b"}'
)
"""event number, response id, item id, words"""


def stream_sid(number: int) -> str:
    return f"MZ{number:032x}"


def call_sid(number: int) -> str:
    return f"CA{number:032x}"


def start(number: int) -> bytes:
    return orjson.dumps(
        {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": stream_sid(number),
            "start": {
                "streamSid": stream_sid(number),
                "accountSid": ACCOUNT_SID,
                "callSid": call_sid(number),
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {},
            },
        }
    )


def mark(number: int, sequence_number: int, name: str) -> bytes:
    return orjson.dumps(
        {
            "event": "mark",
            "sequenceNumber": str(sequence_number),
            "streamSid": stream_sid(number),
            "mark": {"name": name},
        }
    )


def dtmf(number: int, sequence_number: int, digit: str) -> bytes:
    return orjson.dumps(
        {
            "event": "dtmf",
            "sequenceNumber": str(sequence_number),
            "streamSid": stream_sid(number),
            "dtmf": {"track": "inbound_track", "digit": digit},
        }
    )


def stop(number: int, sequence_number: int) -> bytes:
    return orjson.dumps(
        {
            "event": "stop",
            "sequenceNumber": str(sequence_number),
            "streamSid": stream_sid(number),
            "stop": {"accountSid": ACCOUNT_SID, "callSid": call_sid(number)},
        }
    )


TRANSCRIPTS = (
    "conversation.item.input_audio_transcription.completed",
    "response.output_audio_transcript.done",
)
"""Events of their own; deltas of a transcript are made by ``TRANSCRIPT_DELTA``."""


def default_session(session_id: str) -> Json:
    """A session that nobody has configured: PCM, which is noise on a telephone line."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": MODEL,
        "output_modalities": ["audio"],
        "audio": {"input": {"format": PCM}, "output": {"format": PCM, "voice": "marin"}},
    }


def refusal_of(update: Json) -> str | None:
    """Why this ``session`` object would not carry telephone audio; None if it would."""
    if update.get("type") != "realtime":
        return f"session.type is {update.get('type')!r}, expected 'realtime'"
    audio = update.get("audio") or {}
    for side in ("input", "output"):
        found = (audio.get(side) or {}).get("format")
        if found != PCMU:
            return f"session.audio.{side}.format is {found!r}, expected {PCMU!r}"
    return None


def error(code: str, message: str) -> Json:
    return {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "code": code,
            "message": message,
            "param": None,
            "event_id": None,
        },
    }


def user_item(item_id: str) -> Json:
    content = {"type": "input_audio", "transcript": None}
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [content],
    }


def assistant_item(item_id: str, transcript: str | None) -> Json:
    """``transcript`` is None while the answer has only begun."""
    content = [] if transcript is None else [{"type": "output_audio", "transcript": transcript}]
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": "in_progress" if transcript is None else "completed",
        "role": "assistant",
        "content": content,
    }


def response(response_id: str, status: str, output: list[Json], usage: Json | None) -> Json:
    return {
        "id": response_id,
        "object": "realtime.response",
        "conversation_id": "conv_bench",
        "status": status,
        "status_details": None,
        "output_modalities": ["audio"],
        "output": output,
        "usage": usage,
        "metadata": None,
    }


def usage(audio_out: int) -> Json:
    """Tokens of one answer; one per 50 ms of speech."""
    return {
        "total_tokens": 1_030 + audio_out,
        "input_tokens": 1_000,
        "output_tokens": 30 + audio_out,
        "input_token_details": {
            "text_tokens": 900,
            "audio_tokens": 100,
            "cached_tokens": 832,
            "cached_tokens_details": {"text_tokens": 832, "audio_tokens": 0},
        },
        "output_token_details": {"text_tokens": 30, "audio_tokens": audio_out},
    }


def answer_opening(response_id: str, item_id: str) -> list[Json]:
    """What precedes the first delta."""
    where = {"response_id": response_id, "output_index": 0}
    item = assistant_item(item_id, None)
    part = {"type": "audio", "transcript": ""}
    return [
        {"type": "response.created", "response": response(response_id, "in_progress", [], None)},
        {"type": "response.output_item.added", **where, "item": item},
        {"type": "conversation.item.added", "previous_item_id": None, "item": item},
        {
            "type": "response.content_part.added",
            **where,
            "item_id": item_id,
            "content_index": 0,
            "part": part,
        },
    ]


def answer_closing(response_id: str, item_id: str, transcript: str, audio_ms: int) -> list[Json]:
    """What follows the last delta."""
    where = {"response_id": response_id, "output_index": 0}
    place = {**where, "item_id": item_id, "content_index": 0}
    item = assistant_item(item_id, transcript)
    part = {"type": "audio", "transcript": transcript}
    done = response(response_id, "completed", [item], usage(audio_ms // 50))
    return [
        {"type": "response.output_audio.done", **place},
        {"type": "response.output_audio_transcript.done", **place, "transcript": transcript},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "conversation.item.done", "previous_item_id": None, "item": item},
        {"type": "response.output_item.done", **where, "item": item},
        {"type": "response.done", "response": done},
    ]


def caller_heard(item_id: str, audio_end_ms: int) -> list[Json]:
    """The end of the caller's speech: noticed, committed, written down."""
    item = user_item(item_id)
    return [
        {
            "type": "input_audio_buffer.speech_stopped",
            "item_id": item_id,
            "audio_end_ms": audio_end_ms,
        },
        {"type": "input_audio_buffer.committed", "item_id": item_id, "previous_item_id": None},
        {"type": "conversation.item.added", "previous_item_id": None, "item": item},
        {"type": "conversation.item.done", "previous_item_id": None, "item": item},
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": item_id,
            "content_index": 0,
            "transcript": "I have a question about my last invoice.",
            "usage": {"type": "duration", "seconds": 1.2},
        },
    ]
