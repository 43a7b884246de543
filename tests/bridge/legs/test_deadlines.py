"""The one timer of a call, on the event loop of the product."""

from __future__ import annotations

from tests.bridge.legs.conftest import ServeBridge
from tests.bridge.legs.phone import open_call
from tests.bridge.legs.puppet import PuppetModel


async def test_a_deadline_that_is_due_already_may_be_followed_by_an_earlier_one(
    bridge_under_test: ServeBridge, silent_puppet: PuppetModel
) -> None:
    """uvloop gives a handle without a time for what is due at once."""
    limits = {"model_ready_s": 0.0, "media_stall_s": 0.0, "max_call_s": 0.0}
    bridge = await bridge_under_test(silent_puppet.url, limits=limits)
    async with open_call(bridge) as phone:
        assert await phone.closed() == (1000, "")
        assert (await bridge.decided(phone.call_sid)).reason != "internal_error"
