"""Other people's bridges: no signature, parameters, public names, the beta's wire, PCM."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

import audiocodecs
from audiocodecs import Resampler
from loadtest.harness.callers import read_callers
from loadtest.harness.compat import CompatError, Compatibility, parse_parameters, parse_resolve
from loadtest.harness.engine import run
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import Result
from loadtest.harness.target import Target
from loadtest.scenarios import LineConditions
from loadtest.twilio import Signing

HEADERS = {"Authorization": "Bearer x", "OpenAI-Beta": "realtime=v1"}
MODEL = "gpt-4o-realtime-preview-2024-10-01"


class BetaBridge:
    """A bridge as the samples of 2024 were: no token, the beta's events, no marks."""

    def __init__(self, realtime_port: int, audio_format: str) -> None:
        self.url = f"ws://127.0.0.1:{realtime_port}/v1/realtime?model={MODEL}"
        self.starts: list[dict[str, Any]] = []
        self.signatures: list[str | None] = []
        self._format = audio_format

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        async with serve(self.call, "127.0.0.1", 0, compression=None) as server:
            yield next(iter(server.sockets)).getsockname()[1]

    async def call(self, twilio: ServerConnection) -> None:
        assert twilio.request is not None
        self.signatures.append(twilio.request.headers.get("X-Twilio-Signature"))
        async with connect(self.url, additional_headers=HEADERS, compression=None) as model:
            session = {
                "turn_detection": {"type": "server_vad"},
                "input_audio_format": self._format,
                "output_audio_format": self._format,
                "modalities": ["text", "audio"],
            }
            await model.send(json.dumps({"type": "session.update", "session": session}))
            listening = asyncio.create_task(self._speak(twilio, model))
            await self._listen(twilio, model)
            listening.cancel()
            await asyncio.wait({listening})

    async def _listen(self, twilio: ServerConnection, model: ClientConnection) -> None:
        up = Resampler(8000, 24000)
        async for message in twilio:
            decoded = json.loads(message)
            if decoded["event"] == "start":
                self.starts.append(decoded)
            if decoded["event"] == "media":
                audio = decoded["media"]["payload"]
                if self._format == "pcm16":
                    linear = audiocodecs.ulaw_to_pcm16(base64.b64decode(audio))
                    audio = base64.b64encode(up.process(linear)).decode()
                event = {"type": "input_audio_buffer.append", "audio": audio}
                await model.send(json.dumps(event))

    async def _speak(self, twilio: ServerConnection, model: ClientConnection) -> None:
        down = Resampler(24000, 8000)
        async for message in model:
            event = json.loads(message)
            sid = self.starts[-1]["streamSid"] if self.starts else ""
            if event["type"] == "input_audio_buffer.speech_started":
                await twilio.send(json.dumps({"event": "clear", "streamSid": sid}))
            if event["type"] != "response.audio.delta":
                continue
            audio = event["delta"]
            if self._format == "pcm16":
                linear = down.process(base64.b64decode(audio))
                audio = base64.b64encode(audiocodecs.pcm16_to_ulaw(linear)).decode()
            media = {"event": "media", "streamSid": sid, "media": {"payload": audio}}
            await twilio.send(json.dumps(media))


SPEAKS = """
name = "speaks first"
max_call_ms = 20000
steps = [
  { do = "wait_for_stream" },
  { do = "wait", ms = 500 },
  { do = "speak", call = "billing" },
  { do = "wait_until_assistant_silent", max_ms = 12000 },
  { do = "hang_up" },
]
"""


async def run_against(audio_format: str, scenario: str) -> tuple[BetaBridge, Result]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        realtime_port = free.getsockname()[1]
    bridge = BetaBridge(realtime_port, audio_format)
    async with bridge.serving() as port:
        public = "wss://sample.example"
        plan = RunPlan(
            callers=read_callers([scenario], [], None, LineConditions()),
            target=Target("media", f"{public}/media"),
            calls=1,
            for_s=15,
            most_calls=1,
            realtime_port=realtime_port,
            profile="fast",
            compat=Compatibility(
                dialect="beta",
                signed=False,
                parameters={"agent": "7 & more"},
                resolve={public: f"ws://127.0.0.1:{port}"},
            ),
        )
        return bridge, await run(plan)


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    file = tmp_path / "speaks.toml"
    file.write_text(SPEAKS)
    return str(file)


async def test_a_beta_bridge_that_hands_mulaw_on_is_measured_whole(scenario: str) -> None:
    bridge, result = await run_against("g711_ulaw", scenario)
    assert bridge.signatures == [None]
    assert bridge.starts[0]["start"]["customParameters"] == {"agent": "7 & more"}
    assert (result.counts["turns"], result.counts["unanswered_turns"]) == (1, 0)
    assert result.counts["lost_frames"] == 0
    assert result.counts["unmarked_answers"] == result.counts["answers"] == 1
    assert {"first_audio_out", "first_model_audio", "uplink", "downlink"} <= result.figures.keys()
    assert result.plan["dialect"] == "beta"
    assert result.plan["signed"] is False


async def test_a_beta_bridge_that_decodes_is_measured_at_the_ear_and_says_what_is_missing(
    scenario: str,
) -> None:
    _, result = await run_against("pcm16", scenario)
    assert (result.counts["turns"], result.counts["unanswered_turns"]) == (1, 0)
    assert "first_audio_out" in result.figures
    assert not {"uplink", "downlink"} & result.figures.keys()
    assert "lost_frames" not in result.counts
    assert any("did not reach the model as it was sent" in note for note in result.notes)


def test_options_become_a_document_and_addresses() -> None:
    compat = Compatibility(
        parameters=parse_parameters(["a=1", 'b=x="y"']),
        resolve=parse_resolve(["https://public.example=http://127.0.0.1:5050"]),
    )
    assert compat.twiml("wss://public.example/media") == (
        '<Response><Connect><Stream url="wss://public.example/media">'
        '<Parameter name="a" value="1"/><Parameter name="b" value=\'x="y"\'/>'
        "</Stream></Connect></Response>"
    )
    assert compat.reached_at("wss://public.example/media") == "ws://127.0.0.1:5050/media"
    assert compat.reached_at("https://else.example/voice") == "https://else.example/voice"
    assert compat.signing is Signing.EXACT
    assert Compatibility().to_json() == {}
    assert compat.to_json() == {
        "parameters": ["a", "b"],
        "resolve": {"https://public.example": "http://127.0.0.1:5050"},
    }


FAULTY = {
    "no value": (parse_parameters, "agent", "expected NAME=VALUE"),
    "no name": (parse_parameters, "=7", "expected NAME=VALUE"),
    "long": (parse_parameters, "n=" + "x" * 500, "501 characters of name and value"),
    "path": (parse_resolve, "https://a.example/x=http://127.0.0.1", "is no origin"),
    "one side": (parse_resolve, "https://a.example", "'' is no origin"),
    "kinds": (parse_resolve, "https://a.example=ws://127.0.0.1", "expected http for http(s)"),
}


@pytest.mark.parametrize(("parse", "text", "complaint"), FAULTY.values(), ids=FAULTY.keys())
def test_what_cannot_be_used_is_refused_with_what_was_expected(
    parse: Callable[[list[str]], object], text: str, complaint: str
) -> None:
    with pytest.raises(CompatError) as refused:
        parse([text])
    assert complaint in str(refused.value)
