"""What is over is let go at once: garbage in cycles would wait long for the collector."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator

import pytest

from bridge.call.session import CallSession
from bridge.legs.caller_leg import CallerLeg
from bridge.legs.model_leg import ModelLeg
from bridge.legs.runner import Call
from tests.bridge.legs.audio import numbered
from tests.bridge.legs.conftest import ServeBridge
from tests.bridge.legs.phone import open_call
from tests.bridge.legs.puppet import PuppetModel

PARTS = (Call, CallSession, CallerLeg, ModelLeg)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def parts_left() -> Counter[str]:
    return Counter(type(one).__name__ for one in gc.get_objects() if type(one) in PARTS)


@pytest.mark.usefixtures("no_collector")
async def test_nothing_of_a_call_waits_for_the_collector(
    bridge_under_test: ServeBridge, puppet: PuppetModel
) -> None:
    bridge = await bridge_under_test(puppet.url)
    before = parts_left()
    for number in range(1, 4):
        async with open_call(bridge) as phone:
            await bridge.watcher.until(phone.call_sid, "model_ready")
            await phone.say(*numbered(2))
            assert await (await puppet.session(number - 1)).frames(2) == numbered(2)
            assert parts_left() > before
            await phone.hang_up()
            assert await bridge.ended(phone.call_sid) == "caller_left"
        await bridge.idle()
    bridge.settled.clear()  # the test's own hold on them
    assert parts_left() == before
