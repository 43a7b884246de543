"""Bringing a database to this version's tables: once, whichever of several processes is first."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from bridge.errors import ConfigurationError

HEAD = "0002"
"""The newest revision in ``migrations/versions``; stated here so that Alembic is only loaded when
there is something to migrate."""

_LOCK = 7_306_086_967_023_118_337
"""PostgreSQL's advisory locks are numbered; any number that nobody else uses."""


def migrate(connection: Connection) -> None:
    """Run inside a transaction that holds the database's write lock.

    Raises ConfigurationError for a database of a newer version, or of another program.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    revision = stored_revision(connection)
    if revision == HEAD:
        return
    if revision is not None and revision not in _known_revisions():
        fault = (
            f"the database is at revision {revision!r}, which this version of triage-bridge "
            f"(at {HEAD!r}) does not know: made by a newer version, or by another program"
        )
        raise ConfigurationError([fault])
    _upgrade(connection)


def stored_revision(connection: Connection) -> str | None:
    """None for an empty database. Raises ConfigurationError where somebody else's tables are."""
    inspector = inspect(connection)
    if inspector.has_table("alembic_version"):
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return None if revision is None else str(revision)
    if inspector.has_table("calls"):
        raise ConfigurationError(
            ["the database has a table 'calls' that triage-bridge did not make: give it its own"]
        )
    return None


def _known_revisions() -> set[str]:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(_folder()))
    return {revision.revision for revision in script.walk_revisions()}


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _folder() -> Path:
    return Path(__file__).parent / "migrations"
