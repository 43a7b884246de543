"""What both relays have in common: command line, configuration of the model, start-up."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
import uvloop

BACKLOG = 4096
HEADERS = {"Authorization": "Bearer x"}

SESSION_UPDATE = orjson.dumps(
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": "You answer the telephone.",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcmu"},
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.5,
                        "prefix_padding_ms": 300,
                        "silence_duration_ms": 500,
                    },
                },
                "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
            },
        },
    }
)


@dataclass(frozen=True, slots=True)
class Options:
    host: str
    port: int
    realtime_url: str

    @property
    def tls(self) -> ssl.SSLContext | None:
        """Of the bench's certificate, where callers come with TLS."""
        if "TLS_CERT" not in os.environ:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
        return context


def run(serve: Callable[[Options], Awaitable[None]]) -> None:
    """Parse the command line and serve until the process is told to stop."""
    parser = argparse.ArgumentParser(description="A bare relay between Twilio and OpenAI Realtime.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--realtime-url",
        default=os.environ.get("REALTIME_URL"),
        help="ws:// or wss:// address; REALTIME_URL if not given",
    )
    given = parser.parse_args()
    if not given.realtime_url:
        parser.error("--realtime-url or REALTIME_URL is needed")
    options = Options(given.host, given.port, given.realtime_url)

    async def until_told() -> None:
        serving = asyncio.ensure_future(serve(options))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
        gc.collect()
        gc.freeze()
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    uvloop.run(until_told())
