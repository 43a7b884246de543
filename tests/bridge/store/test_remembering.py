"""What a process still answers for its own calls while its database is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from bridge.store.ledger import (
    CallOpening,
    LedgerUnavailableError,
    Refusal,
    SideEffect,
    StoredDecision,
)
from bridge.store.memory import MemoryLedger
from bridge.store.remembering import (
    DECISIONS_REMEMBERED,
    READ_WITHIN_S,
    REMEMBERED,
    RememberingLedger,
)

CALL, OTHER = "CA" + "1" * 32, "CA" + "2" * 32
ACCOUNT = "AC" + "a" * 32
BACK = StoredDecision(CALL, 0, "studio_return", "schedule", "route_requested", "<Response/>", 1.0)


class Fragile(MemoryLedger):
    """Gives no answer while ``away``."""

    away = False
    slow = False
    writes = ""
    """How they fail while reads are answered."""

    def __init__(self) -> None:
        super().__init__(time.time, lambda: "token")

    async def _check(self) -> None:
        if self.away:
            raise LedgerUnavailableError("away", "gone")
        if self.slow:
            await asyncio.Event().wait()

    async def token_call(self, token: str) -> CallOpening | None:
        await self._check()
        return await super().token_call(token)

    async def opening(self, call_sid: str) -> CallOpening | None:
        await self._check()
        return await super().opening(call_sid)

    async def decision(self, call_sid: str, hop: int | None = None) -> StoredDecision | None:
        await self._check()
        return await super().decision(call_sid, hop)

    async def record_decision(
        self, decision: StoredDecision, effects: Sequence[SideEffect] = ()
    ) -> StoredDecision:
        await self._check()
        if self.writes == "slow":
            await asyncio.Event().wait()
        if self.writes:
            raise LedgerUnavailableError(self.writes, self.writes)
        return await super().record_decision(decision, effects)


def opening(call_sid: str = CALL) -> CallOpening:
    return CallOpening(
        call_sid=call_sid,
        account_sid=ACCOUNT,
        tenant="acme",
        from_number="+15550100001",
        to_number="+15550100002",
        entry="number",
        started_at=1.0,
    )


@pytest.fixture
def database() -> Fragile:
    return Fragile()


@pytest.fixture
async def ledger(database: Fragile) -> RememberingLedger:
    """Of the process that took the stream of ``CALL``."""
    remembering = RememberingLedger(database)
    await remembering.open_call(opening())
    token = await remembering.mint_token(CALL, 60)
    assert not isinstance(await remembering.redeem_token(token, CALL, ACCOUNT), Refusal)
    return remembering


async def failed_to_write(ledger: RememberingLedger, *effects: SideEffect) -> None:
    with pytest.raises(LedgerUnavailableError):
        await ledger.record_decision(BACK, effects)


async def test_its_own_call_and_decision_are_answered_from_memory(
    ledger: RememberingLedger, database: Fragile
) -> None:
    database.away = True
    await failed_to_write(ledger)
    assert await ledger.token_call("token") == opening()
    assert await ledger.opening(CALL) == opening()
    assert await ledger.decision(CALL, 0) == BACK
    assert await ledger.decision(CALL) == BACK


async def test_a_database_that_hangs_is_taken_for_away_in_time(
    ledger: RememberingLedger, database: Fragile
) -> None:
    database.away = True
    await failed_to_write(ledger)
    database.away, database.slow = False, True
    async with asyncio.timeout(3 * READ_WITHIN_S + 1):
        assert await ledger.token_call("token") == opening()
        assert await ledger.opening(CALL) == opening()
        assert await ledger.decision(CALL, 0) == BACK


@pytest.mark.parametrize("trouble", ["locked", "slow"])
async def test_a_database_that_is_only_read_hides_no_decision(
    ledger: RememberingLedger, database: Fragile, trouble: str
) -> None:
    """It says that nothing was decided; what was decided here still cannot be written."""
    database.writes = "locked"
    await failed_to_write(ledger)
    database.writes = trouble
    assert await ledger.decision(CALL, 0) == BACK
    assert await database.decision(CALL, 0) is None


async def test_of_other_calls_nothing_is_known(
    ledger: RememberingLedger, database: Fragile
) -> None:
    database.away = True
    for asked in (ledger.opening(OTHER), ledger.token_call("other"), ledger.decision(OTHER)):
        with pytest.raises(LedgerUnavailableError):
            await asked


async def test_it_is_written_when_the_database_is_back_and_asked(
    ledger: RememberingLedger, database: Fragile
) -> None:
    database.away = True
    await failed_to_write(ledger)
    database.away = False
    assert await ledger.decision(CALL, 0) == BACK
    assert await database.decision(CALL, 0) == BACK


async def test_what_another_process_decided_meanwhile_stands(
    ledger: RememberingLedger, database: Fragile
) -> None:
    database.away = True
    await failed_to_write(ledger)
    database.away = False
    fallback = StoredDecision(CALL, 0, "fallback", None, "no_decision", "<Response/>", 2.0)
    await database.record_decision(fallback)
    assert await ledger.decision(CALL, 0) == fallback


async def test_a_decision_whose_effects_nobody_would_deliver_is_not_kept(
    ledger: RememberingLedger, database: Fragile
) -> None:
    database.away = True
    await failed_to_write(ledger, SideEffect("page", {}, "owner"))
    with pytest.raises(LedgerUnavailableError):
        await ledger.decision(CALL, 0)


@pytest.mark.parametrize("trouble", ["away", "slow"])
@pytest.mark.parametrize("effects", [(), (SideEffect("sms", {}),)], ids=["none", "one"])
async def test_a_decision_that_was_written_is_told_when_the_database_goes_away_after_it(
    ledger: RememberingLedger, database: Fragile, effects: tuple[SideEffect, ...], trouble: str
) -> None:
    """Its side effects are in the database and will be delivered: it may be promised."""
    await ledger.record_decision(BACK, effects)
    setattr(database, trouble, True)
    assert await ledger.decision(CALL, 0) == BACK


async def test_of_two_that_were_decided_the_one_that_stands_is_told(
    ledger: RememberingLedger, database: Fragile
) -> None:
    fallback = StoredDecision(CALL, 0, "fallback", None, "no_decision", "<Response/>", 2.0)
    await database.record_decision(fallback)
    assert await ledger.record_decision(BACK, (SideEffect("sms", {}),)) == fallback
    database.away = True
    assert await ledger.decision(CALL, 0) == fallback


async def test_a_written_decision_answers_for_no_other_hop(
    ledger: RememberingLedger, database: Fragile
) -> None:
    """Another process may have decided a later one."""
    await ledger.record_decision(BACK)
    database.away = True
    for hop in (1, None):
        with pytest.raises(LedgerUnavailableError):
            await ledger.decision(CALL, hop)


async def test_the_memory_of_written_decisions_is_bounded(
    ledger: RememberingLedger, database: Fragile
) -> None:
    sids = [f"CA{number:032}" for number in range(DECISIONS_REMEMBERED + 1)]
    for sid in sids:
        await ledger.open_call(opening(sid))
        await ledger.record_decision(
            StoredDecision(sid, 0, "fallback", None, "x", "<Response/>", 1.0)
        )
    database.away = True
    with pytest.raises(LedgerUnavailableError):
        await ledger.decision(sids[0], 0)
    assert await ledger.decision(sids[1], 0) is not None


async def test_memory_is_bounded(ledger: RememberingLedger, database: Fragile) -> None:
    database.away = True
    for number in range(REMEMBERED + 1):
        made = StoredDecision(f"CA{number:032}", 0, "fallback", None, "x", "<Response/>", 1.0)
        with pytest.raises(LedgerUnavailableError):
            await ledger.record_decision(made)
    with pytest.raises(LedgerUnavailableError):
        await ledger.decision(f"CA{0:032}", 0)
    assert await ledger.decision(f"CA{1:032}", 0) is not None
