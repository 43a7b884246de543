"""The few statements that SQLite and PostgreSQL spell in their own way."""

from __future__ import annotations

import functools

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert


def insert_new(connection: Connection, table: Table) -> PostgresqlInsert | SqliteInsert:
    """An insert that leaves a row with the same key as it is; ``rowcount`` tells which it was."""
    return _insert_new(connection.dialect.name, table)


@functools.cache
def _insert_new(dialect: str, table: Table) -> PostgresqlInsert | SqliteInsert:
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


def insert_or_replace(connection: Connection, table: Table) -> PostgresqlInsert | SqliteInsert:
    """An insert that takes the place of a row with the same primary key."""
    return _insert_or_replace(connection.dialect.name, table)


@functools.cache
def _insert_or_replace(dialect: str, table: Table) -> PostgresqlInsert | SqliteInsert:
    keys = [column.name for column in table.primary_key]
    if dialect == "sqlite":
        lite = sqlite.insert(table)
        return lite.on_conflict_do_update(keys, set_=_others(lite, keys))
    elephant = postgresql.insert(table)
    return elephant.on_conflict_do_update(index_elements=keys, set_=_others(elephant, keys))


def _others(insert: PostgresqlInsert | SqliteInsert, keys: list[str]) -> dict[str, object]:
    return {column.name: column for column in insert.excluded if column.name not in keys}
