"""What only the in-memory ledger promises: it stays small."""

from __future__ import annotations

import pytest

from bridge.store.ledger import CallEnd, LedgerUnavailableError, Refusal
from bridge.store.memory import (
    CLOSED_KEEP_S,
    HOPS_PER_CALL,
    OPEN_KEEP_S,
    TOKENS_PER_CALL,
    MemoryLedger,
)
from tests.bridge.store.conftest import ManualClock, Samples


def ledger_of(clock: ManualClock, limit: int = 100) -> MemoryLedger:
    numbers = iter(range(1, 10_000))
    return MemoryLedger(clock, lambda: f"token-{next(numbers)}", limit=limit)


async def test_a_call_whose_end_was_never_reported_is_forgotten_with_its_tokens(
    clock: ManualClock, samples: Samples
) -> None:
    ledger = ledger_of(clock)
    opened = await ledger.open_call(samples.opening())
    token = await ledger.mint_token(opened.call_sid, OPEN_KEEP_S * 2)
    clock.now += OPEN_KEEP_S
    assert await ledger.redeem_token(token, opened.call_sid, samples.account) == Refusal(
        "unknown_token"
    )
    assert ledger.calls_held == 0


async def test_a_closed_call_is_kept_for_late_requests_and_then_forgotten(
    clock: ManualClock, samples: Samples
) -> None:
    ledger = ledger_of(clock)
    await ledger.open_call(samples.opening())
    await ledger.close_call(CallEnd(samples.call_sid(), "completed", ended_at=clock.now))
    clock.now += CLOSED_KEEP_S - 1
    assert await ledger.opening(samples.call_sid()) == samples.opening()
    clock.now += 1
    assert await ledger.opening(samples.call_sid()) is None
    assert ledger.calls_held == 0


async def test_a_full_ledger_gives_up_the_oldest_closed_call_but_never_an_open_one(
    clock: ManualClock, samples: Samples
) -> None:
    ledger = ledger_of(clock, limit=2)
    await ledger.open_call(samples.opening(1))
    await ledger.open_call(samples.opening(2))
    with pytest.raises(LedgerUnavailableError, match="2 open calls"):
        await ledger.open_call(samples.opening(3))
    await ledger.close_call(CallEnd(samples.call_sid(1), "completed", ended_at=clock.now))
    await ledger.open_call(samples.opening(3))
    held = [await ledger.opening(samples.call_sid(n)) is not None for n in (1, 2, 3)]
    assert held == [False, True, True]


async def test_a_call_holds_only_its_newest_tokens(clock: ManualClock, samples: Samples) -> None:
    ledger = ledger_of(clock)
    opened = await ledger.open_call(samples.opening())
    tokens = [await ledger.mint_token(opened.call_sid, 60) for _ in range(TOKENS_PER_CALL + 1)]
    assert [await ledger.token_call(token) for token in tokens[:2]] == [None, opened]


async def test_a_call_that_loops_is_refused_in_the_end(
    clock: ManualClock, samples: Samples
) -> None:
    ledger = ledger_of(clock)
    for _ in range(HOPS_PER_CALL):
        await ledger.open_call(samples.opening(entry="bin"))
    with pytest.raises(LedgerUnavailableError, match="came in 16 times"):
        await ledger.open_call(samples.opening(entry="bin"))


async def test_what_the_caller_of_the_ledger_changes_later_is_not_stored(
    clock: ManualClock, samples: Samples
) -> None:
    ledger = ledger_of(clock)
    parameters = {"ivr_menu": "2"}
    await ledger.open_call(samples.opening(parameters=parameters))
    parameters["ivr_menu"] = "9"
    held = await ledger.opening(samples.call_sid())
    assert held is not None
    assert held.parameters == {"ivr_menu": "2"}
