"""How quick the store is: ``python -m bridge.store.bench churn`` and ``... read``.

``churn`` lets calls come in at a rate and be decided, while others talk and are written down: how
long from the decision to the answer of ``/after``, and how long the event loop, and with it the
audio of every call, stood still. ``read`` fills a database with turns and times lists and calls.
Both work on a database of their own (``--url``), which must be empty or from a run before.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import click
import uvloop

from bridge.call.usage import UsageMeter
from bridge.store.bench_calls import ENVELOPE, TWIML, fill, turn_notes
from bridge.store.ledger import CallEnd, CallOpening, SideEffect, StoredDecision
from bridge.store.outbox import Outbox
from bridge.store.prices import read_prices
from bridge.store.privacy import DAY_S
from bridge.store.reading import CallFilter, list_calls, read_call
from bridge.store.recorder import CallRecorder, CallSummary
from bridge.store.sql_ledger import SqlLedger
from bridge.store.statistics import day_figures
from bridge.store.store import Store, open_store
from bridge.store.worker import OutboxWorker

TURNS_WHILE_CHURNING = 3
"""A process that holds 900 calls and sees 50 a second come and go has them for 18 seconds each."""
TICK_S = 0.005


@dataclass
class Timings:
    """Milliseconds by name."""

    samples: dict[str, list[float]] = field(default_factory=dict)

    async def of(self, name: str, work: Awaitable[Any]) -> Any:  # noqa: ANN401 - what it gives
        start = time.perf_counter()
        result = await work
        self.add(name, (time.perf_counter() - start) * 1000)
        return result

    def add(self, name: str, milliseconds: float) -> None:
        self.samples.setdefault(name, []).append(milliseconds)

    def show(self) -> None:
        click.echo(f"{'milliseconds':<28}{'n':>8}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}")
        for name, values in self.samples.items():
            ordered = sorted(values)
            p50, p95, p99 = (ordered[int((len(ordered) - 1) * q)] for q in (0.5, 0.95, 0.99))
            figures = f"{p50:9.2f}{p95:9.2f}{p99:9.2f}{ordered[-1]:9.2f}"
            click.echo(f"{name:<28}{len(ordered):>8}{figures}")


# --- churn ------------------------------------------------------------------------------------


class Churn:
    """Calls that come, are decided and go, in one process with its recorder and its outbox."""

    def __init__(self, store: Store, timings: Timings) -> None:
        self.ledger = SqlLedger(store, time.time, lambda: secrets.token_urlsafe(24))
        self.recorder = CallRecorder(store, read_prices(), clock=time.time)
        self.worker = OutboxWorker(
            Outbox(store, time.time),
            {"sms": _delivered},
            owner="bench",
            clock=time.time,
            rng=random.Random(0),  # noqa: S311 - jitter
        )
        self._timings = timings

    async def call(self) -> None:
        sid = f"CA{secrets.token_hex(16)}"
        timed = self._timings.of
        opening = CallOpening(
            sid, "AC0", "acme", "+15550100001", "+15550100002", "number", time.time()
        )
        opened = await timed("/voice: open and mint", self._enter(opening))
        token = opened[1]
        await timed("/media: redeem", self.ledger.redeem_token(token, sid, "AC0"))
        record = self.recorder.opened(opening, time.monotonic())
        for turn in range(TURNS_WHILE_CHURNING):
            for note in turn_notes(turn):
                record.note(time.monotonic(), note)
        await timed("decision to /after", self._decide(sid, token))
        record.closed(CallSummary("gpt-realtime-2.1", UsageMeter(), 60.0))
        await timed(
            "/status: close", self.ledger.close_call(CallEnd(sid, "completed", time.time()))
        )

    async def _enter(self, opening: CallOpening) -> tuple[CallOpening, str]:
        opened = await self.ledger.open_call(opening)
        return opened, await self.ledger.mint_token(opened.call_sid, 60)

    async def _decide(self, sid: str, token: str) -> None:
        """The decision written, and read again by the webhook that comes with the token."""
        decision = StoredDecision(
            sid, 0, "flex", "billing", "route_requested", TWIML, time.time(), {}, ENVELOPE
        )
        await self._timings.of(
            "  of it: record_decision",
            self.ledger.record_decision(decision, [SideEffect("sms", {"body": "b" * 200})]),
        )
        self.worker.nudge()
        opening = await self.ledger.token_call(token)
        found = opening and await self.ledger.decision(opening.call_sid, opening.hop)
        if found != decision:
            raise click.ClickException(f"the decision of {sid} was not the one that was written")


async def _delivered(_delivery: object) -> str | None:
    return "SM0"


async def _ticks(timings: Timings, name: str, until: asyncio.Event) -> None:
    """How late a timer fires: what every audio frame of this process would wait."""
    while not until.is_set():
        due = time.perf_counter() + TICK_S
        await asyncio.sleep(TICK_S)
        timings.add(name, max(0.0, time.perf_counter() - due) * 1000)


async def _churn(url: str, per_second: float, seconds: float) -> Timings:
    store = await open_store(url, clock=time.time)
    timings = Timings()
    await _quiet(timings, min(seconds, 5.0))
    churn = Churn(store, timings)
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_ticks(timings, "timer late, churning", over))
        tasks.create_task(churn.recorder.run())
        tasks.create_task(churn.worker.run())
        async with asyncio.TaskGroup() as arriving:
            start = time.monotonic()
            for number in range(int(per_second * seconds)):
                await asyncio.sleep(max(0.0, start + number / per_second - time.monotonic()))
                arriving.create_task(churn.call())
        over.set()
        churn.worker.stop()
        churn.recorder.stop()
    await store.close()
    return timings


async def _quiet(timings: Timings, seconds: float) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await _ticks(timings, "timer late, doing nothing", over)


# --- reading ----------------------------------------------------------------------------------


async def _read(url: str, wanted_turns: int, repeats: int) -> Timings:
    store = await open_store(url, clock=time.time)
    sids = [line.call_sid for line in await list_calls(store, CallFilter(limit=1000))]
    if not sids:
        click.echo(f"writing {wanted_turns} turns ...")
        sids = await fill(store, wanted_turns)
    rng = random.Random(2)  # noqa: S311 - which calls are looked at
    today = time.time() // DAY_S * DAY_S
    day = CallFilter(started_from=today - 5 * DAY_S, started_before=today - 4 * DAY_S)
    lists: dict[str, CallFilter] = {
        "list": CallFilter(),
        "list --tenant": CallFilter(tenant="clinic"),
        "list --intent --outcome": CallFilter(intent="billing", outcome="flex"),
        "list --day": day,
        "list --day --tenant --intent": replace(day, tenant="acme", intent="schedule"),
        "list --caller": CallFilter(caller="+15550000001"),
        "list --intent (unknown)": CallFilter(intent="unheard_of"),
    }
    timings = Timings()
    for _ in range(repeats):
        for name, wanted in lists.items():
            await timings.of(name, list_calls(store, wanted))
        await timings.of("show", read_call(store, rng.choice(sids)))
    await timings.of("stats of a day", day_figures(store, today - DAY_S, today))
    await timings.of("stats of 30 days", day_figures(store, today - 30 * DAY_S, today + DAY_S))
    await store.close()
    return timings


# --- command line -----------------------------------------------------------------------------


@click.group()
def main() -> None:
    """Measure the store on a database of its own."""


url_option = click.option("--url", required=True, help="As DATABASE_URL; for this alone.")


@main.command()
@url_option
@click.option("--per-second", default=50.0, show_default=True)
@click.option("--seconds", default=20.0, show_default=True)
@click.option("--runs", default=1, show_default=True, help="Each shown; take the median.")
def churn(url: str, per_second: float, seconds: float, runs: int) -> None:
    """Calls at a rate: decision to /after, and what the event loop is held up by it."""
    decided = []
    for _ in range(runs):
        timings = _run(lambda: _churn(url, per_second, seconds))
        timings.show()
        ordered = sorted(timings.samples["decision to /after"])
        decided.append(ordered[int((len(ordered) - 1) * 0.95)])
    click.echo(
        f"decision to /after, median p95 of {runs} runs: {statistics.median(decided):.2f} ms"
    )


@main.command()
@url_option
@click.option("--turns", "wanted", default=1_000_000, show_default=True)
@click.option("--repeats", default=30, show_default=True)
def read(url: str, wanted: int, repeats: int) -> None:
    """Lists and single calls among many turns."""
    _run(lambda: _read(url, wanted, repeats)).show()


def _run(work: Callable[[], Awaitable[Timings]]) -> Timings:
    async def go() -> Timings:
        return await work()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(go())


if __name__ == "__main__":
    main()
