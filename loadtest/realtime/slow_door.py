"""A server that is slow to accept: takes the connection, lets its bytes through some time later."""

from __future__ import annotations

import asyncio
import contextlib

CHUNK_BYTES = 65_536


class SlowDoor:
    """Listens in front of a server on the same host and passes bytes on after a delay."""

    def __init__(self, delay_s: float, host: str, inner_port: int) -> None:
        self._delay_s = delay_s
        self._host = host
        self._inner_port = inner_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, port: int) -> int:
        """Start to listen; returns the port."""
        self._server = await asyncio.start_server(self._enter, self._host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is handled in a task of its own")
        self._tasks.add(task)
        try:
            await asyncio.sleep(self._delay_s)
            await self._relay(reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(self._host, self._inner_port)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pump(reader, inner_writer))
                tasks.create_task(_pump(inner_reader, writer))
        finally:
            inner_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
        sink.write_eof()
