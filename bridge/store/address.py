"""Where a database is: the addresses operators write, and the one form the driver takes."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

SQLITE = "sqlite+pysqlite"
POSTGRESQL = "postgresql+asyncpg"
EXPECTED = "sqlite:///path/to/file.db or postgresql://user:password@host:5432/database"
MAX_PORT = 65_535

_DRIVERS = {
    "sqlite": SQLITE,
    SQLITE: SQLITE,
    "sqlite+aiosqlite": SQLITE,
    "postgres": POSTGRESQL,
    "postgresql": POSTGRESQL,
    POSTGRESQL: POSTGRESQL,
}
# asyncpg calls it otherwise than libpq, whose name hosting providers put into their URLs.
_OPTIONS = {"sslmode": "ssl", "ssl": "ssl"}


def database_url(text: str) -> URL:
    """Raises ValueError saying what was expected; never repeats the address, which has a password.

    ``postgres://`` is taken as well, and ``sslmode``.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{EXPECTED}; it is not text in UTF-8") from None
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(EXPECTED) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ValueError(f"{EXPECTED}; it begins with {url.drivername[:40]!r}")
    url = url.set(drivername=driver)
    return _sqlite(url) if driver == SQLITE else _postgresql(url)


def shown(url: URL) -> str:
    """For people: without the password and the driver's name."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _sqlite(url: URL) -> URL:
    if not url.database or url.database == ":memory:":
        raise ValueError(f"{EXPECTED}; SQLite needs a file, which all processes share")
    if url.query or url.host:
        raise ValueError(f"{EXPECTED}; a path after three slashes, and no options")
    return url


def _postgresql(url: URL) -> URL:
    if not url.database:
        raise ValueError(f"{EXPECTED}; the name of the database is missing")
    if url.port is not None and not 1 <= url.port <= MAX_PORT:
        raise ValueError(f"{EXPECTED}; a port is 1 to {MAX_PORT}, not {str(url.port)[:40]}")
    unknown = sorted(set(url.query) - set(_OPTIONS))
    if unknown:
        raise ValueError(f"{EXPECTED}; of options only sslmode is known, not {unknown[0][:40]!r}")
    query = {_OPTIONS[name]: value for name, value in url.query.items()}
    return url.set(query=query)
