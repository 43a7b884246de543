"""What Twilio is asked about, and what is made of the answers."""

from __future__ import annotations

import asyncio

import pytest

from bridge.store.ledger import CallEnd
from bridge.store.prices import read_prices
from bridge.store.reading import read_call
from bridge.store.reconcile import ASKED_AFTER_S, EVERY_S, NOT_OLDER_THAN_S, Reconciler
from bridge.store.recorder import CallRecorder
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import Store
from tests.bridge.store.conftest import ManualClock, Samples


class Twilio:
    """Answers from what it is given, and remembers what it was asked."""

    def __init__(self) -> None:
        self.ends: dict[str, CallEnd] = {}
        self.asked: list[str] = []
        self.answered = asyncio.Event()

    async def call_status(self, call_sid: str) -> CallEnd | None:
        self.asked.append(call_sid)
        self.answered.set()
        return self.ends.get(call_sid)


@pytest.fixture
def twilio() -> Twilio:
    return Twilio()


@pytest.fixture
def ledger(store: Store, clock: ManualClock) -> SqlLedger:
    return SqlLedger(store, clock, str)


@pytest.fixture
def reconciler(store: Store, ledger: SqlLedger, clock: ManualClock, twilio: Twilio) -> Reconciler:
    return Reconciler(store, ledger, twilio.call_status, clock)


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
    assert await reconciler.round_if_due() == 0
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
    assert await reconciler.round_if_due() == 1
    clock.now += EVERY_S
    assert await reconciler.round_if_due() == 0
    call = await read_call(store, samples.call_sid())
    assert call is not None
    assert (call["call"]["end_status"], call["call"]["duration_s"]) == ("completed", 60)


async def test_of_many_processes_one_asks_and_not_again_before_its_time(
    store: Store, ledger: SqlLedger, clock: ManualClock, twilio: Twilio, samples: Samples
) -> None:
    await ledger.open_call(samples.opening(started_at=clock.now - ASKED_AFTER_S))
    several = [Reconciler(store, ledger, twilio.call_status, clock) for _ in range(3)]
    rounds = await asyncio.gather(*(one.round_if_due() for one in several))
    assert sorted(rounds, key=str) == [0, None, None]
    clock.now += EVERY_S / 2
    assert [await one.round_if_due() for one in several] == [None, None, None]
    clock.now += EVERY_S / 2
    assert [await one.round_if_due() for one in several] == [0, None, None]
    assert twilio.asked == [samples.call_sid()] * 2


async def test_a_process_asks_until_it_is_told_to_stop(
    reconciler: Reconciler,
    ledger: SqlLedger,
    clock: ManualClock,
    twilio: Twilio,
    samples: Samples,
) -> None:
    await ledger.open_call(samples.opening(started_at=clock.now - ASKED_AFTER_S))
    stop = asyncio.Event()
    running = asyncio.create_task(reconciler.run(stop))
    async with asyncio.timeout(30):
        await twilio.answered.wait()
        stop.set()
        await running
    assert twilio.asked == [samples.call_sid()]


async def test_calls_that_the_ai_did_not_take_have_an_end_too_and_are_asked_about_last(
    reconciler: Reconciler,
    ledger: SqlLedger,
    store: Store,
    clock: ManualClock,
    twilio: Twilio,
    samples: Samples,
) -> None:
    recorder = CallRecorder(store, read_prices(), clock=clock)
    recorder.passed_on(samples.opening(1, started_at=clock.now - ASKED_AFTER_S - 1), "share")
    await recorder.flush()
    await ledger.open_call(samples.opening(2, started_at=clock.now - ASKED_AFTER_S))
    twilio.ends[samples.call_sid(1)] = CallEnd(samples.call_sid(1), "completed", clock.now, 60)
    assert await reconciler.round_if_due() == 1
    assert twilio.asked == [samples.call_sid(2), samples.call_sid(1)]
