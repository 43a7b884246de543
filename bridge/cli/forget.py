"""``triage-bridge forget NUMBER``: delete one caller's calls."""

from __future__ import annotations

import time

import click

from bridge.cli._emptying import end_if_left, wait_option
from bridge.cli._store import FAILED, with_stores
from bridge.store.cipher import normalised
from bridge.store.privacy import Forgotten, forget
from bridge.store.settings import StoreSettings
from bridge.store.store import Store
from dispatch.context import is_e164


@click.command("forget")
@click.argument("number")
@click.option("--yes", is_flag=True, help="Do not ask.")
@wait_option
def command(number: str, yes: bool, wait_s: float) -> None:
    """Delete all calls from NUMBER, with their transcripts and waiting side effects.

    NUMBER in full, as in +15550100001. Exit status 1 if a call is still in progress and was left,
    or if what was deleted could not be emptied from SQLite's log.
    """
    caller = normalised(number)
    if not is_e164(caller):
        raise click.BadParameter("expected a number in full, as in +15550100001")
    if not yes:
        click.confirm("Delete all calls from this number for good?", abort=True)

    async def delete(stores: list[Store], _settings: StoreSettings) -> list[Forgotten]:
        return [await forget(store, caller, time.time(), empty_within_s=wait_s) for store in stores]

    results = with_stores(delete)
    left = sum(one.in_progress for one in results)
    click.echo(f"deleted: {sum(one.deleted for one in results)}")
    if left:
        click.echo(f"still in progress, and not deleted: {left}; run this again later", err=True)
    end_if_left(all(one.log_emptied for one in results))
    if left:
        raise SystemExit(FAILED)
