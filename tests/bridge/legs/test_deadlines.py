"""The one timer of a call, on the event loop of the product."""

from __future__ import annotations

import asyncio
import secrets
import time

from bridge.store.ledger import CallOpening, Refusal
from bridge.store.memory import MemoryLedger
from tests.bridge.legs.conftest import ServeBridge
from tests.bridge.legs.phone import open_phone
from tests.bridge.legs.puppet import PuppetModel


class WaitingLedger(MemoryLedger):
    """Admits nobody before it is let."""

    def __init__(self) -> None:
        super().__init__(time.time, lambda: secrets.token_urlsafe(24))
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def redeem_token(
        self, token: str, call_sid: str, account_sid: str
    ) -> CallOpening | Refusal:
        self.asked.set()
        await self.go_on.wait()
        return await super().redeem_token(token, call_sid, account_sid)


async def test_a_deadline_that_is_due_at_once_may_be_set_twice(
    bridge_under_test: ServeBridge, silent_puppet: PuppetModel
) -> None:
    """uvloop gives a handle that knows no time for what is due within the same millisecond."""
    ledger = WaitingLedger()
    bridge = await bridge_under_test(
        silent_puppet.url, ledger=ledger, limits={"model_ready_s": 0.0}
    )
    async with open_phone(bridge) as phone:
        await phone.connected()
        await phone.start()
        await ledger.asked.wait()
        await phone.press("1")
        await asyncio.sleep(0.1)  # nobody tells that a key waits for the admission
        ledger.go_on.set()
        assert await phone.closed() == (1000, "")
        assert await bridge.ended(phone.call_sid) == "model_not_ready"
