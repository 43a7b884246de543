"""What the store does for every call, or every second, leaves nothing to Python's collector.

It comes seldom here, and what waits for it looks like a leak.
"""

from __future__ import annotations

import gc
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from bridge.call.effects import Note
from bridge.store.ledger import SideEffect
from bridge.store.outbox import Delivery, Outbox
from bridge.store.prices import read_prices
from bridge.store.recorder import CallRecorder
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import Store
from bridge.store.worker import GiveUpError, OutboxWorker, TryAgainError
from tests.bridge.store.conftest import ACCOUNT, ManualClock, Samples

KINDS = ("sms", "email", "callback_task")


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def left_by_sqlalchemy() -> Counter[str]:
    """What only the collector would free, by type."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    names = [f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage]
    gc.garbage.clear()
    return Counter(name for name in names if name.startswith("sqlalchemy."))


async def perform(delivery: Delivery) -> str | None:
    """One kind works, one is refused, one fails for now."""
    if delivery.kind == "email":
        raise GiveUpError("404")
    if delivery.kind == "callback_task":
        raise TryAgainError("429")
    return "SM1"


@pytest.mark.usefixtures("no_collector")
async def test_calls_leave_no_statements_to_the_collector(
    store: Store, clock: ManualClock, samples: Samples
) -> None:
    ledger = SqlLedger(store, clock, lambda: f"token{random.random()}")
    recorder = CallRecorder(store, read_prices(), clock=clock, limit=100)
    worker = OutboxWorker(
        Outbox(store, clock),
        dict.fromkeys(KINDS, perform),
        owner="worker",
        clock=clock,
        rng=random.Random(1),
    )
    for number in range(1, 5):
        opening = await ledger.open_call(samples.opening(number))
        token = await ledger.mint_token(opening.call_sid, 60)
        assert await ledger.redeem_token(token, opening.call_sid, ACCOUNT) == opening
        record = recorder.opened(opening, now=500.0)
        record.note(501.0, Note("greeting", {"cached": True}, "Hello"))
        await recorder.flush()
        effects = [SideEffect(kind, {}) for kind in KINDS]
        decision = samples.decision(number)
        assert await ledger.record_decision(decision, effects) == decision
        assert await worker.work_off() == 3
        if number == 1:  # what is built once is there now
            gc.collect()
    assert left_by_sqlalchemy() == {}
