"""Twilio's side of one call, driven by hand on the ``websockets`` package."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.bridge.legs.served import ACCOUNT, MEDIA, WAIT_S, Invitation, ServedBridge

FRAME_BYTES = 160
SILENCE = b"\xff" * FRAME_BYTES
Message = dict[str, Any]


class Phone:
    """One media socket. Nothing happens by itself: no audio is sent, no mark echoed."""

    def __init__(self, connection: ClientConnection, invitation: Invitation) -> None:
        self.connection = connection
        self.invitation = invitation
        self.call_sid = invitation.call_sid
        self.stream_sid = "MZ" + invitation.call_sid[2:]
        self.received: list[Message] = []
        self.closed_at: float | None = None

    # --- what Twilio sends ---------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        await self.connection.send(json.dumps(message))

    async def connected(self) -> None:
        await self.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})

    async def start(
        self,
        *,
        call_sid: str | None = None,
        account_sid: str = ACCOUNT,
        parameters: Mapping[str, str] | None = None,
        tracks: tuple[str, ...] = ("inbound",),
    ) -> None:
        start = {
            "accountSid": account_sid,
            "streamSid": self.stream_sid,
            "callSid": call_sid or self.call_sid,
            "tracks": list(tracks),
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(
                self.invitation.parameters if parameters is None else parameters
            ),
        }
        await self.send(
            {
                "event": "start",
                "sequenceNumber": "1",
                "start": start,
                "streamSid": self.stream_sid,
            }
        )

    def media(self, payload: object, track: str = "inbound") -> Message:
        media = {"track": track, "chunk": "1", "timestamp": "20", "payload": payload}
        return {
            "event": "media",
            "sequenceNumber": "2",
            "media": media,
            "streamSid": self.stream_sid,
        }

    async def say(self, *frames: bytes) -> None:
        """Frames at once, without pacing. Others get their turn: a write into a socket buffer that
        has room gives nobody one."""
        for number, frame in enumerate(frames):
            await self.send(self.media(base64.b64encode(frame).decode()))
            if number % 100 == 99:
                await asyncio.sleep(0)

    async def press(self, digit: str) -> None:
        dtmf = {"track": "inbound_track", "digit": digit}
        await self.send({"event": "dtmf", "streamSid": self.stream_sid, "dtmf": dtmf})

    async def reach(self, *names: str) -> None:
        """These marks were reached, or thrown away by a clear: Twilio says the same."""
        for name in names:
            await self.send({"event": "mark", "streamSid": self.stream_sid, "mark": {"name": name}})

    async def stop(self) -> None:
        stop = {"accountSid": ACCOUNT, "callSid": self.call_sid}
        await self.send({"event": "stop", "streamSid": self.stream_sid, "stop": stop})

    async def hang_up(self) -> None:
        await self.stop()
        await self.connection.close()

    def stop_reading(self) -> None:
        """Leave everything on the wire: the bridge's window fills up."""
        self.connection.transport.pause_reading()

    def start_reading(self) -> None:
        self.connection.transport.resume_reading()

    def reset(self) -> None:
        """The line is cut: a TCP reset without a word."""
        transport = self.connection.transport
        line = transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    # --- what the bridge sends -----------------------------------------------------------------

    async def next(self) -> Message:
        async with asyncio.timeout(WAIT_S):
            message: Message = json.loads(await self.connection.recv())
        assert message["streamSid"] == self.stream_sid
        self.received.append(message)
        return message

    async def until(self, event: str) -> Message:
        while (message := await self.next())["event"] != event:
            pass
        return message

    async def until_mark(self, *, of: str) -> str:
        """The next mark of this item or kind."""
        while of not in (name := (await self.until("mark"))["mark"]["name"]):
            pass
        return str(name)

    async def hear(self, length_bytes: int) -> bytes:
        """The next audio, at least so much of it."""
        heard = b""
        while len(heard) < length_bytes:
            heard += base64.b64decode((await self.until("media"))["media"]["payload"])
        return heard

    async def closed(self) -> tuple[int, str]:
        """Read what is still to come; the code and the reason that the stream was closed with."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.next()
        self.closed_at = time.monotonic()
        assert self.connection.close_code is not None
        return self.connection.close_code, self.connection.close_reason or ""

    def of(self, event: str) -> list[Message]:
        return [message for message in self.received if message["event"] == event]

    @property
    def marks(self) -> list[str]:
        return [message["mark"]["name"] for message in self.of("mark")]

    @property
    def audio(self) -> bytes:
        return b"".join(
            base64.b64decode(message["media"]["payload"]) for message in self.of("media")
        )


def upgrade_headers(bridge: ServedBridge, url: str = MEDIA) -> dict[str, str]:
    return {"x-twilio-signature": bridge.signer.compute_signature(url, {})}


@contextlib.asynccontextmanager
async def open_phone(
    bridge: ServedBridge,
    invitation: Invitation | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    compression: str | None = None,
) -> AsyncIterator[Phone]:
    """A socket that was let in; not a word has been said on it."""
    invitation = invitation or await bridge.dial()
    async with connect(
        f"ws://127.0.0.1:{bridge.port}/media",
        additional_headers=upgrade_headers(bridge) if headers is None else headers,
        compression=compression,
        max_queue=None,
        close_timeout=2,
    ) as connection:
        yield Phone(connection, invitation)


@contextlib.asynccontextmanager
async def open_call(
    bridge: ServedBridge, invitation: Invitation | None = None
) -> AsyncIterator[Phone]:
    """A stream that has started."""
    async with open_phone(bridge, invitation) as phone:
        await phone.connected()
        await phone.start()
        yield phone


async def taken(bridge: ServedBridge, phone: Phone, within_s: float = WAIT_S) -> None:
    """Everything that the phone has sent so far has been taken by the call."""
    before = len(bridge.watcher.of(phone.call_sid, "digit"))
    await phone.press("1")
    await bridge.watcher.until(phone.call_sid, "digit", before + 1, within_s)
