"""The ledger is slow or gone: at the start, and when a decision is to be written."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Literal, TypeAlias

import pytest
from structlog.typing import EventDict

from bridge.store.ledger import (
    CallOpening,
    LedgerUnavailableError,
    Refusal,
    SideEffect,
    StoredDecision,
)
from bridge.store.memory import MemoryLedger
from tests.bridge.legs.conftest import ServeBridge, Talk
from tests.bridge.legs.phone import open_call
from tests.bridge.legs.puppet import PuppetModel

Trouble: TypeAlias = Literal["slow", "gone"]


class TroubledLedger(MemoryLedger):
    """A ledger in memory that is in trouble when the test says so."""

    def __init__(self) -> None:
        super().__init__(time.time, lambda: secrets.token_urlsafe(24))
        self.at_start: Trouble | None = None
        self.at_decision: Trouble | None = None

    async def redeem_token(
        self, token: str, call_sid: str, account_sid: str
    ) -> CallOpening | Refusal:
        await _suffer(self.at_start)
        return await super().redeem_token(token, call_sid, account_sid)

    async def record_decision(
        self, decision: StoredDecision, effects: Sequence[SideEffect] = ()
    ) -> StoredDecision:
        await _suffer(self.at_decision)
        return await super().record_decision(decision, effects)


async def _suffer(trouble: Trouble | None) -> None:
    if trouble == "gone":
        raise LedgerUnavailableError("gone")
    if trouble == "slow":
        await asyncio.Event().wait()


@pytest.fixture
def ledger() -> TroubledLedger:
    return TroubledLedger()


@pytest.mark.parametrize("trouble", ["slow", "gone"])
async def test_a_call_that_cannot_be_looked_up_falls_back(
    bridge_under_test: ServeBridge,
    puppet: PuppetModel,
    ledger: TroubledLedger,
    stack: AsyncExitStack,
    logged: list[EventDict],
    trouble: Trouble,
) -> None:
    bridge = await bridge_under_test(puppet.url, ledger=ledger)
    ledger.at_start = trouble
    phone = await stack.enter_async_context(open_call(bridge))
    assert await phone.closed() == (1013, "ledger_unavailable")
    assert [one["reason"] for one in logged if one["event"] == "stream_refused"] == [
        "ledger_unavailable"
    ]
    await bridge.idle()
    assert "outcome=fallback" in await bridge.after(phone.invitation)
    assert puppet.sessions == []


async def test_a_caller_who_goes_while_the_ledger_is_slow_leaves_nothing(
    bridge_under_test: ServeBridge,
    puppet: PuppetModel,
    ledger: TroubledLedger,
    stack: AsyncExitStack,
) -> None:
    bridge = await bridge_under_test(puppet.url, ledger=ledger)
    ledger.at_start = "slow"
    phone = await stack.enter_async_context(open_call(bridge))
    await phone.hang_up()
    await bridge.idle()
    assert puppet.sessions == []


@pytest.mark.parametrize("trouble", ["slow", "gone"])
async def test_a_decision_that_cannot_be_written_does_not_hold_the_caller(
    bridge_under_test: ServeBridge,
    puppet: PuppetModel,
    ledger: TroubledLedger,
    talk: Talk,
    logged: list[EventDict],
    trouble: Trouble,
) -> None:
    bridge = await bridge_under_test(puppet.url, ledger=ledger, limits={"closing_start_s": 0.05})
    phone, session = await talk(bridge)
    ledger.at_decision = trouble
    await session.decide()
    assert await phone.closed() == (1000, "")
    await bridge.idle()
    assert "decision_not_written" in [one["event"] for one in logged]
    assert await session.closed() == (1000, "")
    ledger.at_decision = None
    assert "FlowEvent=return" in await bridge.after(phone.invitation)


async def test_another_call_is_not_held_up_by_a_slow_ledger(
    bridge_under_test: ServeBridge,
    puppet: PuppetModel,
    ledger: TroubledLedger,
    stack: AsyncExitStack,
    talk: Talk,
) -> None:
    bridge = await bridge_under_test(puppet.url, ledger=ledger)
    neighbour, session = await talk(bridge)
    ledger.at_start = "slow"
    waiting = await stack.enter_async_context(open_call(bridge))
    await session.speak(b"\xff" * 800)
    assert len(await neighbour.hear(800)) == 800
    assert await waiting.closed() == (1013, "ledger_unavailable")
