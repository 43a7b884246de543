"""``triage-bridge purge``: delete what is past its retention."""

from __future__ import annotations

import time

import click

from bridge.cli._emptying import end_if_left, wait_option
from bridge.cli._store import with_stores
from bridge.store.privacy import Purged, purge
from bridge.store.settings import StoreSettings
from bridge.store.store import Store


@click.command("purge")
@wait_option
def command(wait_s: float) -> None:
    """Delete the calls that are past their tenant's retention (RETENTION_DAYS).

    Serving processes do the same once a day. Exit status 1 if what was deleted could not be emptied
    from SQLite's log.
    """

    async def delete(stores: list[Store], settings: StoreSettings) -> list[Purged]:
        now = time.time()
        return [
            await purge(store, settings.retention_days_of, now, empty_within_s=wait_s)
            for store in stores
        ]

    purged = with_stores(delete)
    click.echo(f"deleted: {sum(one.deleted for one in purged)}")
    for name in sorted({name for one in purged for name in one.unneeded_keys}):
        click.echo(f"data key no longer needed: {name}")
    end_if_left(all(one.log_emptied for one in purged))
