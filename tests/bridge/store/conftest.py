"""Ledgers to test: whatever implements the contract joins ``MAKERS`` and passes the same tests."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import pytest

from bridge.store.ledger import CallOpening, Ledger, StoredDecision
from bridge.store.memory import MemoryLedger

ACCOUNT = "AC" + "0" * 32
START = 1_000_000.0


class ManualClock:
    """Unix seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


LedgerMaker: TypeAlias = Callable[[ManualClock], AbstractAsyncContextManager[Ledger]]


def counted_tokens() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"token-{next(numbers)}"


@asynccontextmanager
async def memory_ledger(clock: ManualClock) -> AsyncIterator[Ledger]:
    yield MemoryLedger(clock, counted_tokens())


MAKERS: dict[str, LedgerMaker] = {"memory": memory_ledger}


@pytest.fixture(params=list(MAKERS.values()), ids=list(MAKERS))
def make_ledger(request: pytest.FixtureRequest) -> LedgerMaker:
    maker: LedgerMaker = request.param
    return maker


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def ledger(make_ledger: LedgerMaker, clock: ManualClock) -> AsyncIterator[Ledger]:
    async with make_ledger(clock) as made:
        yield made


class Samples:
    """Made-up calls and decisions; ``number`` tells them apart."""

    account = ACCOUNT

    def call_sid(self, number: int = 1) -> str:
        return f"CA{number:032x}"

    def opening(self, number: int = 1, **changes: object) -> CallOpening:
        fields: dict[str, object] = {
            "call_sid": self.call_sid(number),
            "account_sid": ACCOUNT,
            "tenant": "default",
            "from_number": "+15550100001",
            "to_number": "+15550100002",
            "entry": "number",
            "started_at": START,
            "parameters": {"flex_skill": "en"},
        }
        return CallOpening(**(fields | changes))  # type: ignore[arg-type]

    def decision(self, number: int = 1, hop: int = 0, route: str = "flex") -> StoredDecision:
        return StoredDecision(
            call_sid=self.call_sid(number),
            hop=hop,
            route=route,
            intent="billing",
            reason="model",
            twiml=f"<Response><!-- {route} --></Response>",
            decided_at=START,
            decision={"route": route},
            envelope={"intent": "billing"},
        )


@pytest.fixture
def samples() -> Samples:
    return Samples()
