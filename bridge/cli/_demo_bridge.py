"""The bridge of the demo: the product itself, with the notes of its calls handed to a watcher."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from bridge.books import TOKEN_BYTES
from bridge.call.effects import Note
from bridge.config import Settings
from bridge.errors import ConfigurationError
from bridge.legs.runner import Observer
from bridge.legs.switchboard import Switchboard
from bridge.lines import LineCache
from bridge.outward import Outward
from bridge.process import Parts, StopRequests, serve
from bridge.settling import Settler
from bridge.store.memory import MemoryLedger
from bridge.tenants import Tenants
from bridge.web.app import build_app
from bridge.web.signatures import upgrade_gate
from loadtest.demo.voice import spoken
from loadtest.twilio import SimulatedTwilio

PUBLIC_URL = "https://bridge.example"
FLOW_SID = "FW00000000000000000000000000000001"
"""The Studio flow that sends the calls; the triage file names it."""
TRIAGE_FILE = Path(__file__).parents[2] / "examples" / "acme-plumbing.toml"
NEVER_MAILED = {"SMTP_URL": "smtp://127.0.0.1:9", "SMTP_FROM": "triage@bridge.example"}
"""The triage file has a route that writes e-mail; no call of the demo takes it."""
OPERATORS_OWN = ("OPENAI_API_KEY", "REALTIME_URL")
"""All that is taken from the environment, and only for the real model."""

Watch = Callable[[str, float, Note], None]
"""CallSid, monotonic seconds, and the note."""


def demo_settings(
    environ: Mapping[str, str], twilio: SimulatedTwilio, port: int, greetings: Path
) -> Settings:
    """Signatures, tokens and all; ``environ`` says which model. Raises ConfigurationError."""
    if not TRIAGE_FILE.is_file():
        name = "/".join(TRIAGE_FILE.parts[-2:])
        raise ConfigurationError([f"{name} is not beside this program: run the demo in a checkout"])
    settings = {
        "TWILIO_ACCOUNT_SID": twilio.settings.account_sid,
        "TWILIO_AUTH_TOKEN": twilio.settings.auth_token,
        "TWILIO_REST_URL": twilio.rest_url,
        "PUBLIC_URL": PUBLIC_URL,
        "STUDIO_FLOW_SID": FLOW_SID,
        "TRIAGE_FILE": str(TRIAGE_FILE),
        "GREETING_CACHE": str(greetings),
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
    settings: Settings, tenants: Tenants, listening: socket.socket, watch: Watch
) -> AsyncIterator[None]:
    """Takes calls within the block; nothing of it is left afterwards."""
    parts = _parts(settings, tenants, watch)
    stop, ready = StopRequests(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(settings, parts, listening, stop, ready.set))
        await ready.wait()
        try:
            yield
        finally:
            stop.request()
            stop.request()  # at once: no call is left, and nobody will ask for one that was


def _parts(settings: Settings, tenants: Tenants, watch: Watch) -> Parts:
    """As ``bridge.process`` puts them together, and with an observer of every call."""
    ledger = MemoryLedger(time.time, lambda: secrets.token_urlsafe(TOKEN_BYTES))
    outward = Outward(settings, tenants, random.Random())  # noqa: S311 - jitter
    settler = Settler(settings, ledger, time.time, lookups=outward.lookups, rest=outward.rest)

    def observer(call_sid: str) -> Observer:
        return lambda at, note: watch(call_sid, at, note)

    switchboard = Switchboard(settings, tenants, ledger, upgrade_gate(settings), settler, observer)

    def tenant_of(called_number: str) -> str | None:
        tenant = tenants.for_number(called_number)
        return None if tenant is None else tenant.name

    app = build_app(settings, ledger, switchboard, clock=time.time, tenant_of=tenant_of)
    return Parts(switchboard, app, outward)
