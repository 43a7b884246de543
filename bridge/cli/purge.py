"""``triage-bridge purge``: delete what is past its retention."""

from __future__ import annotations

import time

import click

from bridge.cli._store import with_stores
from bridge.store.privacy import purge
from bridge.store.settings import StoreSettings
from bridge.store.store import Store


@click.command("purge")
def command() -> None:
    """Delete the calls that are past their tenant's retention (RETENTION_DAYS).

    Serving processes do the same once a day.
    """

    async def delete(stores: list[Store], settings: StoreSettings) -> int:
        now = time.time()
        return sum([await purge(store, settings.retention_days_of, now) for store in stores])

    click.echo(f"deleted: {with_stores(delete)}")
