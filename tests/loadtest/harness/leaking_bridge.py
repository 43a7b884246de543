"""A bridge that leaks on purpose, as a program of its own: it plays a tone to every caller.

    python leaking_bridge.py none|memory|files|tasks

Prints its port. ``GET /tasks`` on that port tells how many tasks it has, as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

TONE = base64.b64encode(bytes([0x10, 0x90]) * 1600).decode()
EVERY_S = 0.05
LEAK_KIB = 256

held: list[object] = []


def leak(kind: str) -> None:
    match kind:
        case "memory":
            held.append(os.urandom(LEAK_KIB * 1024))
        case "files":
            held.append(open(os.devnull))  # noqa: SIM115 - to be left open
        case "tasks":
            held.append(asyncio.create_task(asyncio.sleep(3600)))


async def leak_on(kind: str) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        leak(kind)


async def call(socket: ServerConnection) -> None:
    sid = ""
    async for message in socket:
        decoded = json.loads(message)
        if decoded["event"] == "start":
            sid = decoded["streamSid"]
            break
    number = 0
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(drain(socket))
            while socket.close_code is None:
                media = {"event": "media", "streamSid": sid, "media": {"payload": TONE}}
                mark = {"event": "mark", "streamSid": sid, "mark": {"name": str(number)}}
                await socket.send(json.dumps(media))
                await socket.send(json.dumps(mark))
                number += 1
                await asyncio.sleep(2)
    except* ConnectionClosed:
        pass


async def drain(socket: ServerConnection) -> None:
    async for _ in socket:
        pass


def page(connection: ServerConnection, request: Request) -> Response | None:
    if request.path != "/tasks":
        return None
    body = json.dumps({"tasks": len(asyncio.all_tasks())})
    return connection.respond(HTTPStatus.OK, body)


async def main(kind: str) -> None:
    async with serve(call, "127.0.0.1", 0, process_request=page, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)  # noqa: T201 - its protocol
        await leak_on(kind)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
