"""The databases of all tenants as one ledger. Most installations have one database."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from bridge.errors import ConfigurationError
from bridge.store.ledger import (
    CallEnd,
    CallOpening,
    HandoverReport,
    LedgerUnavailableError,
    Refusal,
    SideEffect,
    StoredDecision,
    UnknownCallError,
)
from bridge.store.settings import StoreSettings
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import Store, open_store

T = TypeVar("T")

REMEMBERED = 10_000


class Stores:
    """Every database once, by the tenants that live in it. ``close`` closes them all."""

    def __init__(self, default: Store, of_tenants: Mapping[str, Store]) -> None:
        self.default = default
        self._of_tenants = dict(of_tenants)

    def of(self, tenant: str) -> Store:
        return self._of_tenants.get(tenant, self.default)

    @property
    def all(self) -> tuple[Store, ...]:
        distinct = {id(store): store for store in (self.default, *self._of_tenants.values())}
        return tuple(distinct.values())

    async def close(self) -> None:
        for store in self.all:
            await store.close()


async def open_stores(
    settings: StoreSettings, tenants: Collection[str], clock: Callable[[], float]
) -> Stores:
    """Raises ConfigurationError with the faults of every database."""
    settings.check_tenants(tenants)
    urls = {tenant: settings.url_of(tenant).get_secret_value() for tenant in tenants}
    default = settings.url.get_secret_value()
    opened: dict[str, Store] = {}
    faults: list[str] = []
    for url in dict.fromkeys((default, *urls.values())):
        try:
            variable = settings.variable_of(url)
            opened[url] = await open_store(url, settings.data_keys, clock=clock, variable=variable)
        except ConfigurationError as error:
            faults += error.faults
    if faults:
        for store in opened.values():
            await store.close()
        raise ConfigurationError(faults)
    return Stores(opened[default], {tenant: opened[url] for tenant, url in urls.items()})


class TenantLedgers:
    """One ledger over several databases: a call lives in that of its tenant.

    Which one that is, is remembered by call; otherwise each is asked, and one that is away hides
    only its own calls.
    """

    def __init__(
        self, stores: Stores, clock: Callable[[], float], make_token: Callable[[], str]
    ) -> None:
        self._stores = stores
        self._ledgers = {id(store): SqlLedger(store, clock, make_token) for store in stores.all}
        self._homes: OrderedDict[str, SqlLedger] = OrderedDict()

    async def open_call(
        self, opening: CallOpening, idempotency_key: str | None = None
    ) -> CallOpening:
        ledger = self._ledgers[id(self._stores.of(opening.tenant))]
        opened = await ledger.open_call(opening, idempotency_key)
        self._remember(opened.call_sid, ledger)
        return opened

    async def mint_token(self, call_sid: str, ttl_s: float) -> str:
        return await (await self._home(call_sid)).mint_token(call_sid, ttl_s)

    async def redeem_token(
        self, token: str, call_sid: str, account_sid: str
    ) -> CallOpening | Refusal:
        async def minted(ledger: SqlLedger) -> SqlLedger | None:
            return None if await ledger.token_call(token) is None else ledger

        home = await self._first(minted)
        if home is None:
            return Refusal("unknown_token")
        return await home.redeem_token(token, call_sid, account_sid)

    async def token_call(self, token: str) -> CallOpening | None:
        return await self._first(lambda ledger: ledger.token_call(token))

    async def opening(self, call_sid: str) -> CallOpening | None:
        home = await self._find(call_sid)
        return None if home is None else await home.opening(call_sid)

    async def record_decision(
        self, decision: StoredDecision, effects: Sequence[SideEffect] = ()
    ) -> StoredDecision:
        home = await self._home(decision.call_sid)
        return await home.record_decision(decision, effects)

    async def add_effects(self, call_sid: str, hop: int, effects: Sequence[SideEffect]) -> int:
        return await (await self._home(call_sid)).add_effects(call_sid, hop, effects)

    async def decision(self, call_sid: str, hop: int | None = None) -> StoredDecision | None:
        home = await self._find(call_sid)
        return None if home is None else await home.decision(call_sid, hop)

    async def report(
        self, report: HandoverReport, effects: Sequence[SideEffect] = ()
    ) -> HandoverReport:
        return await (await self._home(report.call_sid)).report(report, effects)

    async def reports(self, call_sid: str, hop: int) -> Sequence[HandoverReport]:
        home = await self._find(call_sid)
        return () if home is None else await home.reports(call_sid, hop)

    async def close_call(self, end: CallEnd) -> bool:
        home = await self._find(end.call_sid)
        return home is not None and await home.close_call(end)

    # --- which database ------------------------------------------------------------------------

    async def _home(self, call_sid: str) -> SqlLedger:
        home = await self._find(call_sid)
        if home is None:
            raise UnknownCallError(f"no call {call_sid} is held")
        return home

    async def _find(self, call_sid: str) -> SqlLedger | None:
        known = self._homes.get(call_sid)
        if known is not None:
            return known

        async def holds(ledger: SqlLedger) -> SqlLedger | None:
            return None if await ledger.opening(call_sid) is None else ledger

        home = await self._first(holds)
        if home is not None:
            self._remember(call_sid, home)
        return home

    async def _first(self, ask: Callable[[SqlLedger], Awaitable[T | None]]) -> T | None:
        """The one answer. Raises LedgerUnavailableError only if it may be in what is away."""
        away: LedgerUnavailableError | None = None
        asked = [asyncio.ensure_future(ask(ledger)) for ledger in self._ledgers.values()]
        try:
            for answering in asyncio.as_completed(asked):
                try:
                    answer = await answering
                except LedgerUnavailableError as error:
                    away = error
                    continue
                if answer is not None:
                    return answer
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        if away is not None:
            raise away
        return None

    def _remember(self, call_sid: str, ledger: SqlLedger) -> None:
        self._homes[call_sid] = ledger
        self._homes.move_to_end(call_sid)
        if len(self._homes) > REMEMBERED:
            self._homes.popitem(last=False)
