"""Who may talk, where no voice webhook of ours was asked before."""

from __future__ import annotations

import secrets
import time
from contextlib import AsyncExitStack

from structlog.typing import EventDict

from bridge.store.ledger import CallOpening, LedgerUnavailableError
from bridge.store.memory import MemoryLedger
from tests.bridge.legs.audio import numbered
from tests.bridge.legs.conftest import ServeBridge
from tests.bridge.legs.phone import open_call, open_phone
from tests.bridge.legs.puppet import PuppetModel
from tests.bridge.legs.served import FLOW


async def test_behind_a_static_twiml_bin_the_signed_upgrade_is_enough(
    bridge_under_test: ServeBridge, puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(puppet.url)
    invitation = bridge.invite_by_bin(to="+15550100002", ivr_language="de-DE")
    phone = await stack.enter_async_context(open_call(bridge, invitation))
    await phone.say(*numbered(2))
    assert await (await puppet.session()).frames(2) == numbered(2)
    await phone.hang_up()
    assert await bridge.ended(phone.call_sid) == "caller_left"
    opening = await bridge.ledger.opening(phone.call_sid)
    assert opening is not None
    assert (opening.entry, opening.to_number) == ("bin", "+15550100002")
    assert opening.parameters == {"ivr_language": "de-DE"}


async def test_a_flow_that_a_bin_names_wrongly_is_not_believed(
    bridge_under_test: ServeBridge, puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    """Nothing in a stream's start is signed; what is not a flow's SID gets into no address."""
    bridge = await bridge_under_test(puppet.url)
    invitation = bridge.invite_by_bin(flow=f"{FLOW}?FlowEvent=other")
    phone = await stack.enter_async_context(open_call(bridge, invitation))
    await phone.hang_up()
    assert await bridge.ended(phone.call_sid) == "caller_left"
    opening = await bridge.ledger.opening(phone.call_sid)
    assert opening is not None
    assert opening.flow_sid is None


async def test_after_a_stream_from_a_bin_the_call_is_found_by_its_sid(
    bridge_under_test: ServeBridge, puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(puppet.url, limits={"closing_start_s": 0.05})
    invitation = bridge.invite_by_bin(flow=FLOW)
    phone = await stack.enter_async_context(open_call(bridge, invitation))
    await bridge.watcher.until(phone.call_sid, "model_ready")
    await (await puppet.session()).decide()
    await phone.closed()
    assert "intent=general" in await bridge.after(invitation)


async def test_a_call_that_comes_from_a_bin_again_and_again_goes_to_today_s_flow(
    bridge_under_test: ServeBridge,
    puppet: PuppetModel,
    stack: AsyncExitStack,
    logged: list[EventDict],
) -> None:
    bridge = await bridge_under_test(puppet.url, MAX_HOPS="2")
    invitation = bridge.invite_by_bin()
    for _ in range(2):
        phone = await stack.enter_async_context(open_call(bridge, invitation))
        await phone.hang_up()
        await bridge.idle()
    phone = await stack.enter_async_context(open_call(bridge, invitation))
    assert await phone.closed() == (1008, "hop_limit")
    assert [one["reason"] for one in logged if one["event"] == "stream_refused"] == ["hop_limit"]


class Away(MemoryLedger):
    """Gives no answer while ``away``."""

    away = False

    async def opening(self, call_sid: str) -> CallOpening | None:
        if self.away:
            raise LedgerUnavailableError("away", "gone")
        return await super().opening(call_sid)


async def test_a_refused_stream_of_a_call_that_came_back_leads_to_today_s_flow(
    bridge_under_test: ServeBridge, puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    """What its first passage decided was carried out already, and led it here again."""
    ledger = Away(time.time, lambda: secrets.token_urlsafe(8))
    bridge = await bridge_under_test(puppet.url, ledger=ledger, limits={"closing_start_s": 0.05})
    invitation = bridge.invite_by_bin(flow=FLOW)
    phone = await stack.enter_async_context(open_call(bridge, invitation))
    await bridge.watcher.until(phone.call_sid, "model_ready")
    await (await puppet.session()).decide()
    await phone.closed()
    assert "intent=general" in await bridge.after(invitation)
    ledger.away = True
    phone = await stack.enter_async_context(open_call(bridge, invitation))
    assert await phone.closed() == (1013, "ledger_unavailable")
    ledger.away = False
    assert "FlowEvent=return&outcome=fallback" in await bridge.after(invitation)


async def test_insecure_local_serves_without_signature_and_token(
    bridge_under_test: ServeBridge, puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(puppet.url, insecure_local=True, POOL_SIZE="0", GREETING="")
    invitation = bridge.invite_by_bin()
    phone = await stack.enter_async_context(open_phone(bridge, invitation, headers={}))
    await phone.start()
    await phone.say(*numbered(2))
    assert await (await puppet.session()).frames(2) == numbered(2)
