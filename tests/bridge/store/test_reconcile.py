"""What Twilio is asked about, and what is made of the answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.store.ledger import CallEnd
from bridge.store.reading import read_call
from bridge.store.reconcile import ASKED_AFTER_S, NOT_OLDER_THAN_S, Reconciled, Reconciler
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import Store
from tests.bridge.store.conftest import ManualClock, Samples


class Twilio:
    """Answers from what it is given, and remembers what it was asked."""

    def __init__(self) -> None:
        self.ends: dict[str, CallEnd] = {}
        self.tasks: dict[str, str] = {}
        self.asked: list[str] = []

    async def call_status(self, call_sid: str) -> CallEnd | None:
        self.asked.append(call_sid)
        return self.ends.get(call_sid)

    async def find_task(self, call_sid: str) -> str | None:
        return self.tasks.get(call_sid)


@pytest.fixture
def twilio() -> Twilio:
    return Twilio()


@pytest.fixture
def ledger(store: Store, clock: ManualClock) -> SqlLedger:
    return SqlLedger(store, clock, str)


@pytest.fixture
def reconciler(store: Store, ledger: SqlLedger, clock: ManualClock, twilio: Twilio) -> Reconciler:
    return Reconciler(
        store,
        ledger,
        call_status=twilio.call_status,
        find_task=twilio.find_task,
        clock=clock,
    )


async def test_only_calls_that_should_be_over_are_asked_about(
    reconciler: Reconciler,
    ledger: SqlLedger,
    clock: ManualClock,
    twilio: Twilio,
    samples: Samples,
) -> None:
    now = clock.now
    for number, age_s in enumerate((0.0, ASKED_AFTER_S, NOT_OLDER_THAN_S), 1):
        await ledger.open_call(samples.opening(number, started_at=now - age_s))
    assert await reconciler.round() == Reconciled(0, 0, 0)
    assert twilio.asked == [samples.call_sid(2)]


async def test_a_call_whose_end_was_never_reported_is_closed(
    reconciler: Reconciler,
    ledger: SqlLedger,
    store: Store,
    clock: ManualClock,
    twilio: Twilio,
    samples: Samples,
) -> None:
    await ledger.open_call(samples.opening(started_at=clock.now - ASKED_AFTER_S))
    twilio.ends[samples.call_sid()] = CallEnd(samples.call_sid(), "completed", clock.now, 60)
    assert await reconciler.round() == Reconciled(1, 0, 0)
    assert await reconciler.round() == Reconciled(0, 0, 0)
    call = await read_call(store, samples.call_sid())
    assert call is not None
    assert (call["call"]["end_status"], call["call"]["duration_s"]) == ("completed", 60)


async def test_a_task_is_looked_for_once_and_its_absence_told(
    reconciler: Reconciler,
    ledger: SqlLedger,
    store: Store,
    clock: ManualClock,
    twilio: Twilio,
    samples: Samples,
) -> None:
    for number, route in enumerate(("flex", "flex", "dial"), 1):
        await ledger.open_call(samples.opening(number))
        decision = samples.decision(number, route=route)
        await ledger.record_decision(replace(decision, decided_at=clock.now))
    twilio.tasks[samples.call_sid(1)] = "WT1"
    assert await reconciler.round() == Reconciled(0, 0, 0)
    clock.now += 60
    assert await reconciler.round() == Reconciled(0, 1, 1)
    assert await reconciler.round() == Reconciled(0, 0, 0)
    told = []
    for number in (1, 2, 3):
        call = await read_call(store, samples.call_sid(number))
        assert call is not None
        told.append([(one["status"], one["fields"]) for one in call["status_events"]])
    assert told == [[("created", {"task_sid": "WT1"})], [("missing", {})], []]
