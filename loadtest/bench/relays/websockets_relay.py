"""A bare relay on the ``websockets`` package, uvloop and orjson: the yardstick.

Forwards media as appends, deltas as media and mark, ``speech_started`` as ``clear``. Two tasks a
call, no queue between the legs, no permessage-deflate, no keepalive pings.
"""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from loadtest.bench.relays.shared import BACKLOG, HEADERS, SESSION_UPDATE, Options, run


async def uplink(caller: ServerConnection, model: ClientConnection) -> None:
    """Caller's audio to the model, from ``start`` to the end of the stream."""
    while True:
        message = orjson.loads(await caller.recv(decode=False))
        kind = message["event"]
        if kind == "media":
            append = {"type": "input_audio_buffer.append", "audio": message["media"]["payload"]}
            await model.send(orjson.dumps(append), text=True)
        elif kind == "stop":
            return


async def downlink(caller: ServerConnection, model: ClientConnection, stream_sid: str) -> None:
    """The model's audio to the caller; a ``clear`` when the caller speaks."""
    deltas = 0
    while True:
        event = orjson.loads(await model.recv(decode=False))
        kind = event["type"]
        if kind == "response.output_audio.delta":
            deltas += 1
            media = {
                "event": "media",
                "streamSid": stream_sid,
                "media": {"payload": event["delta"]},
            }
            mark = {"event": "mark", "streamSid": stream_sid, "mark": {"name": f"m{deltas}"}}
            await caller.send(orjson.dumps(media), text=True)
            await caller.send(orjson.dumps(mark), text=True)
        elif kind == "input_audio_buffer.speech_started":
            await caller.send(orjson.dumps({"event": "clear", "streamSid": stream_sid}), text=True)


async def stream_start(caller: ServerConnection) -> str:
    """The stream's sid, from the ``start`` message."""
    while True:
        message = orjson.loads(await caller.recv(decode=False))
        if message["event"] == "start":
            return str(message["streamSid"])


async def bridge(caller: ServerConnection, realtime_url: str) -> None:
    """One call."""
    stream_sid = await stream_start(caller)
    async with connect(
        realtime_url,
        additional_headers=HEADERS,
        compression=None,
        ping_interval=None,
        proxy=None,
    ) as model:
        await model.send(SESSION_UPDATE, text=True)
        legs = {
            asyncio.create_task(uplink(caller, model)),
            asyncio.create_task(downlink(caller, model, stream_sid)),
        }
        try:
            await asyncio.wait(legs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for leg in legs:
                leg.cancel()
            await asyncio.gather(*legs, return_exceptions=True)


def ready(connection: ServerConnection, request: Request) -> Response | None:
    if request.path == "/readyz":
        return connection.respond(HTTPStatus.OK, "ready\n")
    return None


async def listen(options: Options) -> Server:
    async def handle(caller: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed, OSError):
            await bridge(caller, options.realtime_url)

    return await serve(
        handle,
        options.host,
        options.port,
        process_request=ready,
        compression=None,
        ping_interval=None,
        backlog=BACKLOG,
        ssl=options.tls,
    )


async def main(options: Options) -> None:
    server = await listen(options)
    await server.wait_closed()


if __name__ == "__main__":
    run(main)
