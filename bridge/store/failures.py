"""Why a database failed, as one word that an operator can act on, told once."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator

import structlog
from sqlalchemy.exc import DataError, IntegrityError

from bridge.errors import TriageBridgeError
from bridge.store.ledger import LedgerUnavailableError

log = structlog.get_logger("bridge.store")


class UnstorableError(TriageBridgeError):
    """The database does not take this value, now or later. Nothing was written."""


CALM_S = 5.0
"""So long without a failure, and a trouble is over: one that comes and goes is told once."""

_SQLITE = {
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_FULL": "full",
    "SQLITE_READONLY": "read_only",
    "SQLITE_CANTOPEN": "cannot_open",
    "SQLITE_IOERR": "io_error",
    "SQLITE_CORRUPT": "corrupt",
    "SQLITE_NOTADB": "not_a_database",
    "SQLITE_PERM": "not_permitted",
}
# Whole codes before their classes (the first two characters).
_SQLSTATE = {
    "25006": "read_only",
    "28000": "login_refused",
    "28P01": "login_refused",
    "3D000": "no_such_database",
    "42501": "not_permitted",
    "42P01": "schema_missing",
    "53100": "full",
    "53300": "too_many_connections",
    "55P03": "locked",
    "57014": "slow",
    "40": "conflict",
    "08": "gone",
    "57": "gone",
    "58": "io_error",
}


def reason_of(error: BaseException) -> str:
    """The first link of the error's chain that says something; ``failed`` where none does."""
    for link in _chain(error):
        reason = _reason(link)
        if reason is not None:
            return reason
    return "failed"


def is_unstorable(error: BaseException) -> bool:
    """Whether the database is well and only refuses this value: too large, of no known call."""
    return any(
        isinstance(link, IntegrityError | DataError | OverflowError)
        or type(link).__name__ == "DataError"  # asyncpg's, which SQLAlchemy takes for any other
        or str(getattr(link, "sqlstate", "")).startswith(("22", "23"))
        for link in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The driver's own errors first: they are what SQLAlchemy wrapped."""
    seen: list[BaseException] = []
    following: list[BaseException | None] = [error]
    while following:
        link = following.pop()
        if link is None or link in seen:
            continue
        seen.append(link)
        following += [link.__context__, link.__cause__, getattr(link, "orig", None)]
    return reversed(seen)


def _reason(error: BaseException) -> str | None:
    name = getattr(error, "sqlite_errorname", None)
    if isinstance(name, str):
        known = next((why for code, why in _SQLITE.items() if name.startswith(code)), None)
        return known or ("schema_missing" if "no such table" in str(error) else None)
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return _SQLSTATE.get(state) or _SQLSTATE.get(state[:2])
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "slow"
    if isinstance(error, socket.gaierror):
        return "no_such_host"
    return "gone" if isinstance(error, ConnectionError | EOFError) else None


class Trouble:
    """One line in the log when trouble starts, one for each further reason, one when it is over.

    ``kind`` is read or write: a full disk can still be read.
    """

    def __init__(
        self, kind: str, database: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log.bind(kind=kind, database=database)
        self._clock = clock
        self._reasons: list[str] = []
        self._last_at = 0.0

    def met(self, reason: str) -> LedgerUnavailableError:
        """The error to raise."""
        self._last_at = self._clock()
        if reason not in self._reasons:
            self._reasons.append(reason)
            self._log.error("database_unavailable", reason=reason)
        return LedgerUnavailableError(f"the database cannot be used now: {reason}", reason)

    def passed(self) -> None:
        if self._reasons and self._clock() - self._last_at >= CALM_S:
            self._log.info("database_back", reasons=self._reasons)
            self._reasons = []
