"""Writing batches of record entries: all or nothing, and nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, Table

from bridge.store import statements as sql
from bridge.store.database import Database
from bridge.store.dialect import insert_new, insert_or_replace
from bridge.store.ledger import LedgerUnavailableError
from bridge.store.tables import calls, status_events, timeline, turns, usage

log = structlog.get_logger("bridge.store")

_ORDER: tuple[Table, ...] = (calls, timeline, turns, status_events, usage)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row for one of the record's tables. Its key is complete: it may be written again."""

    table: Table
    row: dict[str, Any]


class RecordWriter:
    """Writes entries whose call is known. What no database takes is dropped alone, and counted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, entries: Sequence[Entry]) -> None:
        """Raises LedgerUnavailableError; then all of it may be written again."""
        try:
            unknown = await self._database.write(
                lambda connection: _write(connection, entries), durable=False
            )
        except LedgerUnavailableError:
            raise
        except Exception as error:
            # The row's edge: whatever is wrong with one, the others are written.
            await self._split(entries, error)
            return
        if unknown:
            log.warning("record_entries_of_unknown_calls", count=unknown)

    async def _split(self, entries: Sequence[Entry], error: Exception) -> None:
        """One row is at fault: find it by halves."""
        if len(entries) == 1:
            table = entries[0].table.name
            log.error("record_entry_refused", table=table, error=type(error).__name__)
            return
        half = len(entries) // 2
        await self.write(entries[:half])
        await self.write(entries[half:])


def _write(connection: Connection, entries: Sequence[Entry]) -> int:
    """How many entries belong to calls that are not there (any more)."""
    rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in _ORDER}
    for entry in entries:
        rows[entry.table].append(entry.row)
    if rows[calls]:
        connection.execute(insert_new(connection, calls), rows[calls])
    sids = {entry.row["call_sid"] for entry in entries}
    known = set(connection.scalars(sql.KNOWN_CALLS, {"at_call_sids": list(sids)}))
    written = len(rows[calls])
    for table in _ORDER[1:]:
        kept = [row for row in rows[table] if row["call_sid"] in known]
        written += len(kept)
        if kept:
            insert = insert_or_replace if table is usage else insert_new
            connection.execute(insert(connection, table), kept)
    return len(entries) - written
