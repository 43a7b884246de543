"""The store of a serving process: its ledger, what works behind it, and the order it ends in."""

from __future__ import annotations

import os
import random
import secrets
import socket
import time
from collections.abc import Collection, Mapping

from bridge.config import Settings
from bridge.outward import Outward
from bridge.rollouts import RolloutStore
from bridge.store.bookkeeping import Bookkeeping, ProcessMeans
from bridge.store.ledger import CallOpening, Ledger
from bridge.store.prices import read_prices
from bridge.store.recorder import CallRecord
from bridge.store.rollouts import SqlRollouts
from bridge.store.stores import Stores, open_stores

TOKEN_BYTES = 24


class Books:
    """``run`` works until ``stop``; ``close`` when it has returned."""

    def __init__(self, stores: Stores, keeping: Bookkeeping, owner: str) -> None:
        self._stores = stores
        self._keeping = keeping
        self.owner = owner
        """This process's name among all that share the databases."""
        self.rollouts: RolloutStore = SqlRollouts(stores.default.database)

    @property
    def ledger(self) -> Ledger:
        return self._keeping.ledger

    def keep_record(self, opening: CallOpening, now: float) -> CallRecord:
        """The record of a call that the AI takes; its stream began at ``now``."""
        return self._keeping.keep_record(opening, now)

    def passed_on(self, opening: CallOpening, reason: str) -> None:
        """The record of a call that the AI does not take."""
        self._keeping.passed_on(opening, reason)

    def reported(
        self, opening: CallOpening, source: str, status: str, fields: Mapping[str, str]
    ) -> None:
        """What Twilio says of a call, or of something that belongs to it."""
        self._keeping.recorder(opening.tenant).status(opening.call_sid, source, status, fields)

    def nudge(self) -> None:
        """Side effects were written just now."""
        self._keeping.nudge()

    async def run(self) -> None:
        await self._keeping.run()

    def stop(self) -> None:
        """Write down what is left, deliver what has begun."""
        self._keeping.stop()

    async def close(self) -> None:
        await self._stores.close()


async def open_books(settings: Settings, tenants: Collection[str], outward: Outward) -> Books:
    """Raises ConfigurationError for a database that cannot be used."""
    prices = read_prices(settings.store.prices_file)
    stores = await open_stores(settings.store, tenants, time.time)
    means = ProcessMeans(
        owner=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
        clock=time.time,
        rng=random.Random(),  # noqa: S311 - jitter
        make_token=lambda: secrets.token_urlsafe(TOKEN_BYTES),
        call_status=outward.call_status,
    )
    keeping = Bookkeeping(stores, settings.store, prices, outward.perform, means)
    return Books(stores, keeping, means.owner)
