"""A bare relay on picows, uvloop and orjson: the ceiling for a bridge in Python.

Forwards media as appends, deltas as media and mark, ``speech_started`` as ``clear``. No judgement,
no record, no recovery.
"""

from __future__ import annotations

import asyncio
from collections import deque

import orjson
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_connect,
    ws_create_server,
)

from loadtest.bench.relays.shared import BACKLOG, HEADERS, SESSION_UPDATE, Options, run

_EARLY_FRAMES = 250
"""Five seconds kept while the model's socket opens; the oldest goes first."""


class ModelLeg(WSListener):
    def __init__(self, caller: CallerLeg) -> None:
        self._caller = caller
        self._deltas = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, SESSION_UPDATE)
        self._caller.model_opened(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            return
        event = orjson.loads(frame.get_payload_as_memoryview())
        kind = event["type"]
        if kind == "response.output_audio.delta":
            self._deltas += 1
            self._caller.play(event["delta"], f"m{self._deltas}")
        elif kind == "input_audio_buffer.speech_started":
            self._caller.clear()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._caller.hang_up()


class CallerLeg(WSListener):
    def __init__(self, options: Options, opening: set[asyncio.Task[None]]) -> None:
        self._options = options
        self._opening = opening
        self._transport: WSTransport | None = None
        self._model: WSTransport | None = None
        self._early: deque[bytes] = deque(maxlen=_EARLY_FRAMES)
        self._stream_sid = ""

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        task = asyncio.get_running_loop().create_task(self._open_model())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open_model(self) -> None:
        try:
            await ws_connect(
                lambda: ModelLeg(self), self._options.realtime_url, extra_headers=HEADERS
            )
        except OSError:
            self.hang_up()

    def model_opened(self, model: WSTransport) -> None:
        if self._transport is None:
            model.disconnect()
            return
        self._model = model
        for append in self._early:
            model.send(WSMsgType.TEXT, append)
        self._early.clear()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            return
        message = orjson.loads(frame.get_payload_as_memoryview())
        match message["event"]:
            case "media":
                self.append(message["media"]["payload"])
            case "start":
                self._stream_sid = message["streamSid"]
            case "stop":
                transport.disconnect()

    def append(self, payload: str) -> None:
        """Pass one frame on, or keep it until there is a model to pass it to."""
        append = orjson.dumps({"type": "input_audio_buffer.append", "audio": payload})
        if self._model is None:
            self._early.append(append)
        else:
            self._model.send(WSMsgType.TEXT, append)

    def play(self, payload: str, mark: str) -> None:
        self._send({"event": "media", "streamSid": self._stream_sid, "media": {"payload": payload}})
        self._send({"event": "mark", "streamSid": self._stream_sid, "mark": {"name": mark}})

    def clear(self) -> None:
        self._send({"event": "clear", "streamSid": self._stream_sid})

    def _send(self, message: dict[str, object]) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, orjson.dumps(message))

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        if self._model is not None:
            self._model.disconnect()


async def listen(options: Options, leg: type[CallerLeg] = CallerLeg) -> asyncio.Server:
    """Take calls, each on a ``leg``."""
    opening: set[asyncio.Task[None]] = set()

    def accept(request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        if request.path == b"/readyz":
            ready = WSUpgradeResponse.create_ok_response(b"ready\n")
            return WSUpgradeResponseWithListener(ready, None)
        return leg(options, opening)

    return await ws_create_server(
        accept, options.host, options.port, backlog=BACKLOG, ssl=options.tls
    )


async def main(options: Options) -> None:
    server = await listen(options)
    await server.serve_forever()


if __name__ == "__main__":
    run(main)
