"""``triage-bridge purge``: delete what is past its retention."""

from __future__ import annotations

import time

import click

from bridge.cli._store import with_stores
from bridge.store.privacy import Purged, purge
from bridge.store.settings import StoreSettings
from bridge.store.store import Store


@click.command("purge")
def command() -> None:
    """Delete the calls that are past their tenant's retention (RETENTION_DAYS).

    Serving processes do the same once a day.
    """

    async def delete(stores: list[Store], settings: StoreSettings) -> list[Purged]:
        now = time.time()
        return [await purge(store, settings.retention_days_of, now) for store in stores]

    purged = with_stores(delete)
    click.echo(f"deleted: {sum(one.deleted for one in purged)}")
    for name in sorted({name for one in purged for name in one.unneeded_keys}):
        click.echo(f"data key no longer needed: {name}")
