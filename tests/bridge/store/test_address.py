"""Addresses of databases."""

from __future__ import annotations

import pytest

from bridge.store.address import database_url, shown


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("sqlite:///calls.db", "sqlite+pysqlite:///calls.db"),
        ("sqlite:////var/lib/calls.db", "sqlite+pysqlite:////var/lib/calls.db"),
        ("sqlite+aiosqlite:///calls.db", "sqlite+pysqlite:///calls.db"),
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql://u:p@h:5433/d", "postgresql+asyncpg://u:p@h:5433/d"),
        ("postgresql+asyncpg://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql://h:1/d", "postgresql+asyncpg://h:1/d"),
        ("postgresql://h:65535/d", "postgresql+asyncpg://h:65535/d"),
        ("postgres://h/d?sslmode=require", "postgresql+asyncpg://h/d?ssl=require"),
    ],
)
def test_what_operators_write_becomes_what_the_driver_takes(written: str, taken: str) -> None:
    assert database_url(written).render_as_string(hide_password=False) == taken


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("mysql://h/d", "it begins with 'mysql'"),
        ("/var/lib/calls.db", "expected|sqlite:///"),
        ("sqlite://", "SQLite needs a file"),
        ("sqlite:///:memory:", "SQLite needs a file"),
        ("sqlite://host/calls.db", "a path after three slashes"),
        ("sqlite:///calls.db?mode=ro", "no options"),
        ("postgres://h", "the name of the database is missing"),
        ("postgres://h/d?application_name=x", "not 'application_name'"),
        ("postgres://h:port/d", "postgresql://"),
        ("postgres://h:0/d", "a port is 1 to 65535, not 0"),
        ("postgres://h:65536/d", "a port is 1 to 65535, not 65536"),
        ("postgres://h/\udcff", "it is not text in UTF-8"),
        ("sqlite:////var/\udcff.db", "it is not text in UTF-8"),
    ],
)
def test_any_other_address_is_refused_with_what_was_expected(written: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        database_url(written)


def test_an_address_is_shown_without_its_password() -> None:
    assert shown(database_url("postgres://me:hunter2@h/d")) == "postgresql://me:***@h/d"
