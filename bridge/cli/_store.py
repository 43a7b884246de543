"""What the commands that look into the database share: opening it, masking, tables."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click
import orjson

from bridge.cli._numbers import without_numbers
from bridge.config import LogSettings
from bridge.logs import configure_logs, last_two
from bridge.store.failures import UnstorableError
from bridge.store.ledger import LedgerUnavailableError
from bridge.store.settings import StoreSettings, read_store_settings
from bridge.store.store import Store, open_store

T = TypeVar("T")

FAILED = 1
DEFAULT_DATABASE = ""
"""No tenant has this name, so none has a database of its own for it."""


def with_stores(
    work: Callable[[list[Store], StoreSettings], Awaitable[T]], tenant: str | None = None
) -> T:
    """Run ``work`` on every database of the settings, or on that of one tenant alone.

    In the order of ``databases``. Raises ConfigurationError, or ends the command if a database
    fails on the way, or does not take what it is asked for.
    """
    settings = read_store_settings(os.environ)
    configure_logs(LogSettings("error", "console"), settings.secrets)
    try:
        return asyncio.run(_opened(work, settings, tenant))
    except LedgerUnavailableError as error:
        raise click.ClickException(str(error)) from error
    except (UnstorableError, UnicodeEncodeError) as error:
        # Without the value: it may be a telephone number.
        raise click.ClickException(
            "the database takes no such value, expected text in UTF-8 and whole numbers below 2^63"
        ) from error


async def _opened(
    work: Callable[[list[Store], StoreSettings], Awaitable[T]],
    settings: StoreSettings,
    tenant: str | None,
) -> T:
    stores: list[Store] = []
    try:
        for url in databases(settings, tenant):
            _tell_if_new(url, settings)
            # Keys that whoever looks happens to have are not the database's from now on.
            store = await open_store(
                url,
                settings.data_keys,
                clock=time.time,
                adopt_keys=False,
                variable=settings.variable_of(url),
            )
            stores.append(store)
        return await work(stores, settings)
    finally:
        for store in stores:
            await store.close()


def _tell_if_new(url: str, settings: StoreSettings) -> None:
    """Whoever looks in the wrong place would find it empty, and take that for an answer."""
    from bridge.store.address import SQLITE, database_url

    with contextlib.suppress(ValueError):  # opening it says what is wrong
        address = database_url(url)
        if address.drivername == SQLITE and not Path(address.database or "").exists():
            told = f"there was no database ({place_of(url, settings)}): a new, empty one is made"
            click.echo(told, err=True)


def place_of(url: str, settings: StoreSettings) -> str:
    """For people: the variable and what it leads to, without the password."""
    from bridge.store.address import database_url, shown

    variable, address = settings.variable_of(url), shown(database_url(url))
    if os.environ.get(variable, "").strip():
        return f"{variable} is {address}"
    return f"{variable} is not set, which means {address}"


def databases(settings: StoreSettings, tenant: str | None = None) -> dict[str, str | None]:
    """Addresses, of all databases or of one tenant's; each with a tenant whose own it is.

    None for that of DATABASE_URL. Where several tenants share one, the first of them.
    """
    wanted = [(None, settings.url), *settings.tenant_urls.items()]
    if tenant is not None:
        one = settings.url_of(tenant)
        wanted = [(name, url) for name, url in wanted if url == one]
    named: dict[str, str | None] = {}
    for name, url in wanted:
        named.setdefault(url.get_secret_value(), name and name.lower().replace("_", "-"))
    return named


# --- options ----------------------------------------------------------------------------------

tenant_option = click.option("--tenant", help="Only this tenant's calls.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
reveal_option = click.option("--reveal", is_flag=True, help="Show telephone numbers in full.")


def start_of(day: dt.datetime) -> float:
    """Unix seconds of midnight UTC."""
    return day.replace(tzinfo=dt.UTC).timestamp()


# --- output -----------------------------------------------------------------------------------


def masked(number: str, reveal: bool) -> str:
    return one_line(number) if reveal else last_two(number)


def masked_words(text: str, reveal: bool) -> str:
    """What was said, without the numbers in it."""
    return one_line(text if reveal else without_numbers(text))


def one_line(text: str) -> str:
    """Nothing that was said or sent may move an operator's cursor."""
    return "".join(char if char.isprintable() else " " for char in text)


def moment(unix_s: float) -> str:
    return dt.datetime.fromtimestamp(unix_s, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def dollars(usd: float | None) -> str:
    return "unknown" if usd is None else f"${usd:.4f}"


def print_json(value: object) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest value; the last one ends where it ends."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
