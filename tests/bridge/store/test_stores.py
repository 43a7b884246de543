"""Tenants with databases of their own, behind one ledger."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from bridge.call.effects import Note
from bridge.errors import ConfigurationError
from bridge.store.bookkeeping import Bookkeeping, ProcessMeans
from bridge.store.ledger import LedgerUnavailableError, SideEffect, UnknownCallError
from bridge.store.outbox import Delivery
from bridge.store.prices import read_prices
from bridge.store.reading import read_call
from bridge.store.settings import StoreSettings
from bridge.store.store import open_store
from bridge.store.stores import Stores, TenantLedgers, open_stores
from tests.bridge.store.conftest import ManualClock, Samples

TENANTS = ("clinic", "salon", "shop")


def settings_in(folder: Path) -> StoreSettings:
    return StoreSettings(
        url=SecretStr(f"sqlite:///{folder}/all.db"),
        tenant_urls={"CLINIC": SecretStr(f"sqlite:///{folder}/clinic.db")},
    )


@pytest.fixture
async def stores(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Stores]:
    opened = await open_stores(settings_in(tmp_path), TENANTS, clock)
    yield opened
    await opened.close()


def ledger_of(stores: Stores, clock: ManualClock) -> TenantLedgers:
    numbers = iter(range(1, 100))
    return TenantLedgers(stores, clock, lambda: f"token-{next(numbers)}")


async def test_a_call_lives_in_its_tenants_database_only(
    stores: Stores, clock: ManualClock, samples: Samples
) -> None:
    ledger = ledger_of(stores, clock)
    for number, tenant in enumerate(TENANTS, 1):
        await ledger.open_call(samples.opening(number, tenant=tenant))
    held = {
        tenant: [
            number
            for number in (1, 2, 3)
            if await read_call(stores.of(tenant), samples.call_sid(number)) is not None
        ]
        for tenant in TENANTS
    }
    assert held == {"clinic": [1], "salon": [2, 3], "shop": [2, 3]}


async def test_another_process_finds_the_call_wherever_it_lives(
    stores: Stores, clock: ManualClock, samples: Samples
) -> None:
    opening = samples.opening(tenant="clinic")
    first = ledger_of(stores, clock)
    token = await first.mint_token((await first.open_call(opening)).call_sid, 60)
    other = ledger_of(stores, clock)
    assert await other.token_call(token) == opening
    assert await other.redeem_token(token, opening.call_sid, samples.account) == opening
    await other.record_decision(samples.decision())
    assert await ledger_of(stores, clock).decision(opening.call_sid) == samples.decision()


async def test_a_database_that_is_away_hides_only_its_own_calls(
    stores: Stores, clock: ManualClock, samples: Samples, tmp_path: Path
) -> None:
    for number, tenant in enumerate(("clinic", "salon"), 1):
        await ledger_of(stores, clock).open_call(samples.opening(number, tenant=tenant))
    (tmp_path / "clinic.db").rename(tmp_path / "away.db")
    ledger = ledger_of(stores, clock)
    assert await ledger.opening(samples.call_sid(2)) == samples.opening(2, tenant="salon")
    with pytest.raises(LedgerUnavailableError):
        await ledger.opening(samples.call_sid(1))


async def test_what_no_database_holds_is_unknown(
    stores: Stores, clock: ManualClock, samples: Samples
) -> None:
    ledger = ledger_of(stores, clock)
    assert await ledger.opening(samples.call_sid()) is None
    assert await ledger.reports(samples.call_sid(), 0) == ()
    with pytest.raises(UnknownCallError):
        await ledger.record_decision(samples.decision())


async def test_all_databases_that_cannot_be_used_are_named_at_once(
    tmp_path: Path, clock: ManualClock
) -> None:
    settings = StoreSettings(
        url=SecretStr("postgresql://u@127.0.0.1:1/all"),
        tenant_urls={"SALON": SecretStr("postgresql://u@127.0.0.1:1/salon")},
    )
    with pytest.raises(ConfigurationError) as refused:
        await open_stores(settings, TENANTS, clock)
    assert [fault.split(" cannot")[0] for fault in refused.value.faults] == [
        "DATABASE_URL postgresql://u@127.0.0.1:1/all",
        "DATABASE_URL_SALON postgresql://u@127.0.0.1:1/salon",
    ]


async def test_a_database_that_needs_another_key_is_named(
    tmp_path: Path, clock: ManualClock
) -> None:
    settings = settings_in(tmp_path)
    (clinic,) = settings.tenant_urls.values()
    key, other = (SecretStr(Fernet.generate_key().decode()) for _ in range(2))
    await (await open_store(clinic.get_secret_value(), [key], clock=clock)).close()
    with pytest.raises(ConfigurationError) as refused:
        await open_stores(replace(settings, data_keys=(other,)), TENANTS, clock)
    [fault] = refused.value.faults
    assert fault.startswith(f"DATABASE_URL_CLINIC {clinic.get_secret_value()}: DATA_KEYS lacks")


@pytest.mark.parametrize("own", [True, False], ids=["two databases", "one database"])
async def test_a_process_keeps_its_books_until_it_is_stopped(
    own: bool, tmp_path: Path, clock: ManualClock, samples: Samples
) -> None:
    settings = settings_in(tmp_path)
    if not own:
        settings = StoreSettings(url=settings.url)
    stores = await open_stores(settings, TENANTS, clock)
    sent: list[str] = []
    delivered = asyncio.Event()

    async def send(delivery: Delivery) -> str | None:
        sent.append(delivery.call_sid)
        if len(sent) == 2:
            delivered.set()
        return None

    means = ProcessMeans("p", clock, random.Random(0), str)
    books = Bookkeeping(stores, settings, read_prices(), {"sms": send}, means)
    running = asyncio.create_task(books.run())
    for number, tenant in enumerate(("clinic", "salon"), 1):
        opened = await books.ledger.open_call(samples.opening(number, tenant=tenant))
        await books.ledger.record_decision(samples.decision(number), [SideEffect("sms", {})])
        books.recorder(tenant).opened(opened, 0.0).note(0.0, Note("digit"))
    books.nudge()
    async with asyncio.timeout(30):
        await delivered.wait()
        books.stop()
        await running
    for number, tenant in enumerate(("clinic", "salon"), 1):
        call = await read_call(stores.of(tenant), samples.call_sid(number))
        assert call is not None
        assert len(call["timeline"]) == 1
    assert sorted(sent) == [samples.call_sid(1), samples.call_sid(2)]
    await stores.close()
