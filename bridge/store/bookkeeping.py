"""Everything of the store that a serving process runs: one ledger in front, and behind each
database its recorder, its delivery of side effects, its daily purge, and the search for calls
whose end nobody reported.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.store.ledger import CallOpening, Ledger
from bridge.store.outbox import Outbox
from bridge.store.prices import Prices
from bridge.store.privacy import DailyPurge
from bridge.store.reconcile import CallStatus, Reconciler
from bridge.store.recorder import CallRecord, CallRecorder
from bridge.store.settings import StoreSettings
from bridge.store.sql_ledger import SqlLedger
from bridge.store.stores import Stores, TenantLedgers
from bridge.store.worker import OutboxWorker, Perform, WorkerPace


@dataclass(frozen=True, slots=True)
class ProcessMeans:
    """What a process brings along: its name among all that deliver, Unix time, chance, tokens."""

    owner: str
    clock: Callable[[], float]
    rng: random.Random
    make_token: Callable[[], str]
    call_status: CallStatus | None = None
    """None: nobody can be asked how calls ended."""


class Bookkeeping:
    """``run`` works until ``stop`` and returns when all is written down that can be.

    ``perform`` knows the kinds of side effects that this process can deliver.
    """

    def __init__(
        self,
        stores: Stores,
        settings: StoreSettings,
        prices: Prices,
        perform: Mapping[str, Perform],
        means: ProcessMeans,
        pace: WorkerPace | None = None,
    ) -> None:
        clock = means.clock
        self._stores = stores
        self.ledger: Ledger
        if len(stores.all) == 1:
            self.ledger = SqlLedger(stores.default, clock, means.make_token)
        else:
            self.ledger = TenantLedgers(stores, clock, means.make_token)
        self._recorders = {
            id(store): CallRecorder(store, prices, clock=clock) for store in stores.all
        }
        self._workers = [
            OutboxWorker(
                Outbox(store, clock),
                perform,
                owner=means.owner,
                clock=clock,
                rng=means.rng,
                pace=pace,
            )
            for store in stores.all
        ]
        self._purges = [
            DailyPurge(store, settings.retention_days_of, clock) for store in stores.all
        ]
        asked = means.call_status
        self._reconcilers = (
            [Reconciler(store, self.ledger, asked, clock) for store in stores.all] if asked else []
        )
        self._stop = asyncio.Event()

    def recorder(self, tenant: str) -> CallRecorder:
        """Where this tenant's calls are written down."""
        return self._recorders[id(self._stores.of(tenant))]

    def keep_record(self, opening: CallOpening, now: float) -> CallRecord:
        """The record of a call that the AI takes; its stream began at ``now``."""
        return self.recorder(opening.tenant).opened(opening, now)

    def passed_on(self, opening: CallOpening, reason: str) -> None:
        """The record of a call that the AI does not take."""
        self.recorder(opening.tenant).passed_on(opening, reason)

    def nudge(self) -> None:
        """Side effects were written just now: deliver them at once."""
        for worker in self._workers:
            worker.nudge()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for recorder in self._recorders.values():
                tasks.create_task(recorder.run(), name="recorder")
            for worker in self._workers:
                tasks.create_task(worker.run(), name="outbox")
            for purge in self._purges:
                tasks.create_task(purge.run(self._stop), name="purge")
            for reconciler in self._reconcilers:
                tasks.create_task(reconciler.run(self._stop), name="reconciler")

    def stop(self) -> None:
        self._stop.set()
        for worker in self._workers:
            worker.stop()
        for recorder in self._recorders.values():
            recorder.stop()
