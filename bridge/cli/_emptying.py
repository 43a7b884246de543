"""Deleted for good: also from the log that SQLite keeps beside its file."""

from __future__ import annotations

import click

from bridge.cli._store import FAILED
from bridge.store.database import CHECKPOINT_WITHIN_S

wait_option = click.option(
    "--wait",
    "wait_s",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    default=CHECKPOINT_WITHIN_S,
    show_default=True,
    help="SQLite: how long others, such as a backup, may go on reading what was there before.",
)


def end_if_left(log_emptied: bool) -> None:
    """Ends the command with status 1 where what was deleted can still be read in the log."""
    if not log_emptied:
        click.echo(
            "deleted, but the log beside the database (-wal) could not be emptied: something "
            "still reads what was there before, such as a backup; run this again when it is done",
            err=True,
        )
        raise SystemExit(FAILED)
