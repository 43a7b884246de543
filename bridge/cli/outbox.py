"""``triage-bridge outbox``: side effects that wait or failed; retry or drop them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TypeVar, get_args

import click

from bridge.cli._store import (
    FAILED,
    json_option,
    moment,
    one_line,
    print_json,
    print_table,
    with_stores,
)
from bridge.store.outbox import Outbox, OutboxEntry, State
from bridge.store.settings import StoreSettings
from bridge.store.store import Store

T = TypeVar("T")

HEAD = ("ID", "CALL", "HOP", "KIND", "STATE", "ATTEMPTS", "WRITTEN (UTC)", "DUE (UTC)", "OUTCOME")
STATES: tuple[State, ...] = get_args(State)

own_database = click.option(
    "--tenant", help="In the database of this tenant, where it has one of its own."
)


@click.group("outbox")
def command() -> None:
    """Side effects (tasks, messages) that are written with a decision and delivered afterwards."""


@command.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES),
    default=("pending", "dead"),
    show_default=True,
    help="May be given several times.",
)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@own_database
@json_option
def list_entries(states: tuple[State, ...], limit: int, tenant: str | None, as_json: bool) -> None:
    """Show what waits and what failed for good, newest first."""

    async def read(outbox: Outbox) -> list[OutboxEntry]:
        return await outbox.entries(states, limit)

    entries = _in_outbox(read, tenant)
    if as_json:
        print_json([asdict(entry) for entry in entries])
    elif entries:
        print_table(HEAD, [_row(entry) for entry in entries])
    else:
        click.echo("nothing there")


@command.command("retry")
@click.argument("entry_id", metavar="ID", type=int)
@click.option(
    "--within-hours",
    default=24,
    show_default=True,
    type=click.IntRange(1, 720),
    help="The new deadline, from now.",
)
@own_database
def retry(entry_id: int, within_hours: int, tenant: str | None) -> None:
    """Deliver a dead or dropped side effect after all."""
    done = _in_outbox(lambda outbox: outbox.retry(entry_id, within_hours * 3600.0), tenant)
    _report(done, entry_id, "is due again", "is not a dead or dropped one")


@command.command("drop")
@click.argument("entry_id", metavar="ID", type=int)
@own_database
def drop(entry_id: int, tenant: str | None) -> None:
    """Never deliver a side effect."""
    done = _in_outbox(lambda outbox: outbox.drop(entry_id), tenant)
    _report(done, entry_id, "is dropped", "is neither waiting nor dead, or is being tried just now")


def _in_outbox(work: Callable[[Outbox], Awaitable[T]], tenant: str | None) -> T:
    """In one database: numbers are only unique within one."""

    async def run(stores: list[Store], _settings: StoreSettings) -> T:
        return await work(Outbox(stores[0], time.time))

    return with_stores(run, tenant)


def _report(done: bool, entry_id: int, success: str, failure: str) -> None:
    click.echo(f"{entry_id} {success if done else failure}", err=not done)
    if not done:
        raise SystemExit(FAILED)


def _row(entry: OutboxEntry) -> tuple[str, ...]:
    return (
        str(entry.id),
        entry.call_sid,
        str(entry.hop),
        entry.kind,
        f"{entry.state}, in doubt" if entry.in_doubt and entry.state != "done" else entry.state,
        str(entry.attempts),
        moment(entry.created_at),
        moment(entry.due_at),
        one_line(entry.result or entry.error or "-"),
    )
