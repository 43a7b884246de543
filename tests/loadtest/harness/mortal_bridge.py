"""A bridge that carries three calls and dies of the fourth; given a port, it says when it is up."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from websockets.asyncio.server import ServerConnection, serve

up = 0


async def serve_one(connection: ServerConnection) -> None:
    global up
    up += 1
    async for message in connection:
        if up == 4 and json.loads(message)["event"] == "start":
            os._exit(1)
    up -= 1


async def main(port: int) -> None:
    async with serve(serve_one, "127.0.0.1", port):
        sys.stdout.write("up\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
