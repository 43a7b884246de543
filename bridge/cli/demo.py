"""``triage-bridge demo``: calls played through the whole system in real time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

import click

from bridge.call.effects import Note
from bridge.cli._demo_bridge import (
    FLOW_SID,
    OPERATORS_OWN,
    PUBLIC_URL,
    demo_settings,
    fill_greetings,
    running_bridge,
)
from bridge.config import Settings
from bridge.eventloop import new_event_loop
from bridge.logs import configure_logs
from bridge.tenants import tenants_of
from bridge.web.server import bind
from loadtest import demo
from loadtest.demo.voice import demo_lines
from loadtest.realtime import SimulatedRealtime, SimulatorOptions
from loadtest.twilio import Origins, PhoneNumber, SimulatedTwilio
from loadtest.twilio import Settings as TwilioSettings

NOT_ARRIVED = 1
DATABASE = "calls.db"
ACCOUNT_SID = "AC" + "0" * 32
WORKSPACE_SID = "WS" + "0" * 31 + "1"
"""Where the Tasks of calls appear; the triage file names it, and looks for them there."""


@dataclass(frozen=True, slots=True)
class Options:
    calls: tuple[demo.DemoCall, ...]
    out: Path
    realtime: Literal["simulated", "openai"]
    profile: str
    seed: int


@click.command("demo")
@click.option(
    "--call",
    "names",
    multiple=True,
    type=click.Choice(demo.call_names()),
    help="Play only this call; may be given several times.",
)
@click.option(
    "--realtime",
    type=click.Choice(["simulated", "openai"]),
    default="simulated",
    show_default=True,
    help="Which model answers; openai needs OPENAI_API_KEY and costs money.",
)
@click.option(
    "--profile",
    type=click.Choice(["fast", "typical", "slow"]),
    default="typical",
    show_default=True,
    help="How quick the simulated model is.",
)
@click.option("--seed", default=1, show_default=True, help="Same seed, same delays of that model.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out/demo"),
    show_default=True,
    help="Folder for recordings, timelines and the bridge's log.",
)
def command(names: tuple[str, ...], out: Path, **rest: object) -> None:
    """Play phone calls through the whole system: no keys, no network."""
    chosen = dict.fromkeys(names or demo.call_names())
    options = Options(tuple(map(demo.demo_call, chosen)), out, **rest)  # type: ignore[arg-type]
    log_file = out / "bridge.log"
    try:
        out.mkdir(parents=True, exist_ok=True)
        log = log_file.open("w", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {log_file}: {error.strerror}") from error
    with log, asyncio.Runner(loop_factory=new_event_loop) as runner:
        if not runner.run(_play(options, log)):
            raise click.exceptions.Exit(NOT_ARRIVED)


async def _play(options: Options, log: TextIO) -> bool:
    """Whether every call arrived where it has to."""
    screen = demo.Screen()
    async with contextlib.AsyncExitStack() as stack:
        listening = stack.enter_context(bind("127.0.0.1", 0))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = await stack.enter_async_context(_model(options))
        port = listening.getsockname()[1]
        twilio = await stack.enter_async_context(simulated_twilio(port, options.seed))
        environ = {**_environ(model), "GREETING_CACHE": str(_greetings(model, options, scratch))}
        settings = demo_settings(environ, twilio, port, fresh_database(options.out))
        tenants = tenants_of(settings)
        if model is not None:
            fill_greetings(tenants, settings.greeting.cache_folder)
        configure_logs(settings.log, settings.secrets, log)
        _introduce(screen, options, settings)
        player = demo.Player(twilio, screen, model)

        def watch(call_sid: str, at: float, note: Note) -> None:
            player.bridge_noted(call_sid, at, demo.Note(note.kind, note.fields, note.words))

        await stack.enter_async_context(running_bridge(settings, listening, watch))
        reports = []
        for number, call in enumerate(options.calls, start=1):
            screen.heading(f"Call {number} of {len(options.calls)}: {call.title}")
            screen.say(f"It has to arrive here: {call.expected}", "dim")
            reports.append(await player.play(call))
            demo.write_call(options.out, reports[-1])
    files = demo.write_demo(options.out, reports)
    demo.show_summary(screen, reports, files, Path(log.name))
    kept = f"DATABASE_URL=sqlite:///{options.out / DATABASE}"
    screen.say(f"records    {kept} triage-bridge calls   (and: calls show CALLSID)")
    return not any(report.faults for report in reports)


def _model(options: Options) -> contextlib.AbstractAsyncContextManager[SimulatedRealtime | None]:
    if options.realtime == "openai":
        return contextlib.nullcontext()
    known = [call.known for call in options.calls]
    return SimulatedRealtime(
        SimulatorOptions(
            profile=options.profile, seed=options.seed, known_calls=known, lines=demo_lines()
        )
    )


def fresh_database(folder: Path) -> Path:
    """Where this run's calls are kept, and no earlier run's."""
    database = folder / DATABASE
    for file in folder.glob(f"{DATABASE}*"):
        file.unlink()
    return database


def _environ(model: SimulatedRealtime | None) -> dict[str, str]:
    """Which model, and with which key."""
    if model is not None:
        return {"OPENAI_API_KEY": "sk-simulated", "REALTIME_URL": model.url}
    return {name: os.environ[name] for name in OPERATORS_OWN if name in os.environ}


def _greetings(model: SimulatedRealtime | None, options: Options, scratch: Path) -> Path:
    """What the real model has spoken is worth keeping for the next run."""
    return scratch if model is not None else options.out / "greetings"


def simulated_twilio(port: int, seed: int) -> SimulatedTwilio:
    """The account that the triage file is about; its calls reach the bridge at ``port``."""
    local = Origins({PUBLIC_URL: f"http://127.0.0.1:{port}"})
    settings = TwilioSettings(
        ACCOUNT_SID, secrets.token_hex(16), origins=local, workspace_sid=WORKSPACE_SID
    )
    number = PhoneNumber(
        f"{PUBLIC_URL}/voice?flow={FLOW_SID}", status_callback=f"{PUBLIC_URL}/status"
    )
    return SimulatedTwilio(settings, number, random.Random(seed))  # noqa: S311 - made-up SIDs


def _introduce(screen: demo.Screen, options: Options, settings: Settings) -> None:
    if options.realtime == "openai":
        model = f"the Realtime API at {settings.openai.url}"
    else:
        model = f"a simulated Realtime API ({options.profile} latency, seed {options.seed})"
    screen.say(
        f"Simulated Twilio -> the bridge on 127.0.0.1:{settings.web.port} -> {model}", "bold"
    )
    screen.say("Recorded callers, real sockets, real time. Seconds count from each call's start.")
