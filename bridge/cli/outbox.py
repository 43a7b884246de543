"""``triage-bridge outbox``: side effects that wait or failed; retry or drop them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TypeAlias, get_args

import click

from bridge.cli._store import (
    DEFAULT_DATABASE,
    FAILED,
    databases,
    json_option,
    moment,
    one_line,
    print_json,
    print_table,
    with_stores,
)
from bridge.store.outbox import Outbox, OutboxEntry, State
from bridge.store.settings import StoreSettings, environment_name
from bridge.store.store import Store

LARGEST_ID = 2**63 - 1
SHARED = "-"
"""Stands for the database of DATABASE_URL."""
HEAD = ("ID", "CALL", "HOP", "KIND", "STATE", "ATTEMPTS", "WRITTEN (UTC)", "DUE (UTC)", "OUTCOME")
STATES: tuple[State, ...] = get_args(State)
_Found: TypeAlias = tuple[str | None, OutboxEntry]
"""With the tenant whose own database it is in."""

own_database = click.option(
    "--tenant",
    help="The database, where there are several, as DATABASE in the list names it; left out, or -:"
    " that of DATABASE_URL. IDs are unique in one database.",
)
entry_argument = click.argument("entry_id", metavar="ID", type=click.IntRange(1, LARGEST_ID))


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
@click.option("--tenant", help="Only the database of this tenant.")
@json_option
def list_entries(states: tuple[State, ...], limit: int, tenant: str | None, as_json: bool) -> None:
    """Show what waits and what failed for good, newest first.

    Where there are several databases, DATABASE is what retry and drop take as --tenant; - is the
    one they take without it.
    """

    async def read(stores: list[Store], settings: StoreSettings) -> tuple[bool, list[_Found]]:
        named = zip(databases(settings, tenant).values(), stores, strict=True)
        found = [
            (name, entry)
            for name, store in named
            for entry in await Outbox(store, time.time).entries(states, limit)
        ]
        several = len(stores) > 1
        if several:  # in one they are in order
            found.sort(key=lambda one: -one[1].created_at)
        return several, found[:limit]

    several, found = with_stores(read, tenant)
    if as_json:
        print_json([{"database": name, **asdict(entry)} for name, entry in found])
    elif found and several:
        print_table(("DATABASE", *HEAD), [(name or SHARED, *_row(entry)) for name, entry in found])
    elif found:
        print_table(HEAD, [_row(entry) for _, entry in found])
    else:
        click.echo("nothing there")


@command.command("retry")
@entry_argument
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
    _change(
        entry_id,
        tenant,
        lambda outbox: outbox.retry(entry_id, within_hours * 3600.0),
        ("is due again", "is not a dead or dropped one"),
    )


@command.command("drop")
@entry_argument
@own_database
def drop(entry_id: int, tenant: str | None) -> None:
    """Never deliver a side effect."""
    _change(
        entry_id,
        tenant,
        lambda outbox: outbox.drop(entry_id),
        ("is dropped", "is neither waiting nor dead, or is being tried just now"),
    )


def _change(
    entry_id: int,
    tenant: str | None,
    change: Callable[[Outbox], Awaitable[bool]],
    told: tuple[str, str],
) -> None:
    """In one database, which is named if there are more. ``told``: of success, of failure."""

    async def run(stores: list[Store], settings: StoreSettings) -> tuple[bool, str]:
        (name,) = databases(settings, wanted).values()
        several = len(databases(settings)) > 1
        if several and wanted and environment_name(wanted) not in settings.tenant_urls:
            raise click.BadParameter(_no_such_database(wanted, settings), param_hint="--tenant")
        where = f" in the database of {name or 'DATABASE_URL'}" if several else ""
        return await change(Outbox(stores[0], time.time)), where

    wanted = DEFAULT_DATABASE if tenant in (None, SHARED) else tenant
    done, where = with_stores(run, wanted)
    success, failure = told
    click.echo(f"{entry_id}{where} {success if done else failure}", err=not done)
    if not done:
        raise SystemExit(FAILED)


def _no_such_database(wanted: str, settings: StoreSettings) -> str:
    """IDs repeat: a name that was mistyped must not stand for the database of all the others."""
    known = ", ".join(name or SHARED for name in databases(settings).values())
    return f"{wanted!r} has no database of its own; there are: {known}"


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
