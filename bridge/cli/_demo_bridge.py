"""The bridge of the demo: the product itself, with the notes of its calls handed to a watcher."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from bridge.call.effects import Note
from bridge.config import Settings
from bridge.errors import ConfigurationError
from bridge.legs.runner import Observer
from bridge.lines import LineCache
from bridge.process import StopRequests, assemble, serve
from bridge.tenants import Tenants
from loadtest import demo
from loadtest.demo.voice import spoken
from loadtest.twilio import SimulatedTwilio

PUBLIC_URL = "https://bridge.example"
FLOW_SID = "FW00000000000000000000000000000001"
"""The Studio flow that sends the calls; the triage file names it."""
_NAME = "acme-plumbing.toml"
_PACKAGED = Path(demo.__file__).parent / _NAME
"""In an installed package; a checkout has it among its examples."""
TRIAGE_FILE = _PACKAGED if _PACKAGED.is_file() else Path(__file__).parents[2] / "examples" / _NAME
NEVER_MAILED = {"SMTP_URL": "smtp://127.0.0.1:9", "SMTP_FROM": "triage@bridge.example"}
"""The triage file has a route that writes e-mail; no call of the demo takes it."""
OPERATORS_OWN = ("OPENAI_API_KEY", "REALTIME_URL")
"""All that is taken from the environment, and only for the real model."""

Watch = Callable[[str, float, Note], None]
"""CallSid, monotonic seconds, and the note."""


def demo_settings(
    environ: Mapping[str, str], twilio: SimulatedTwilio, port: int, database: Path
) -> Settings:
    """Signatures, tokens and all; ``environ`` says which model, and more.

    Raises ConfigurationError.
    """
    if not TRIAGE_FILE.is_file():
        raise ConfigurationError([f"{_NAME} is missing, which the demo plays by"])
    settings = {
        "TWILIO_ACCOUNT_SID": twilio.settings.account_sid,
        "TWILIO_AUTH_TOKEN": twilio.settings.auth_token,
        "TWILIO_REST_URL": twilio.rest_url,
        "PUBLIC_URL": PUBLIC_URL,
        "STUDIO_FLOW_SID": FLOW_SID,
        "TRIAGE_FILE": str(TRIAGE_FILE),
        "DATABASE_URL": f"sqlite:///{database.absolute()}",
        "POOL_SIZE": "1",
        **NEVER_MAILED,
    }
    return Settings.from_env({**settings, **environ}, port=port)


def fill_greetings(tenants: Tenants, folder: Path) -> None:
    """Lines in the simulated model's voice, so that nobody waits for them. Raises OSError."""
    cache = LineCache(folder)
    for tenant in tenants.all:
        session = tenant.session
        for text in tenant.fixed_lines():
            ulaw = spoken(text)
            if ulaw is not None:
                cache.put(session.voice, session.model, text, ulaw)


@contextlib.asynccontextmanager
async def running_bridge(
    settings: Settings, listening: socket.socket, watch: Watch
) -> AsyncIterator[None]:
    """Takes calls within the block; nothing of it is left afterwards."""

    def observe(call_sid: str) -> Observer:
        return lambda at, note: watch(call_sid, at, note)

    parts = await assemble(settings, lambda services: replace(services, observe=observe))
    stop, ready = StopRequests(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(settings, parts, listening, stop, ready.set))
        await ready.wait()
        try:
            yield
        finally:
            stop.request()
            stop.request()  # at once: no call is left, and nobody will ask for one that was
