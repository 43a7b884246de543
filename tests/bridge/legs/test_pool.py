"""Model sessions that are ready before anybody calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from bridge.config import PoolSettings
from bridge.legs.model_leg import ModelEndpoint
from bridge.legs.pool import ModelPool
from bridge.protocol.realtime import SessionSettings
from bridge.protocol.unhandled import UnhandledCounter
from tests.bridge.legs.audio import numbered
from tests.bridge.legs.conftest import ServeBridge, Talk
from tests.bridge.legs.phone import open_call
from tests.bridge.legs.puppet import PuppetModel, serve_puppet


def pool_of(puppet: PuppetModel, size: int = 1, max_age_s: float = 600.0) -> ModelPool:
    endpoint = ModelEndpoint(puppet.url, "sk-made-up", SessionSettings())
    settings = PoolSettings(size, max_age_s)
    return ModelPool(endpoint, settings, UnhandledCounter(), asyncio.get_running_loop().time)


@pytest.fixture
async def pools(stack: AsyncExitStack) -> AsyncIterator[list[ModelPool]]:
    """Started pools go in here, to be closed."""
    started: list[ModelPool] = []
    yield started
    for pool in started:
        await pool.close()


async def ready(pool: ModelPool, count: int) -> None:
    async with asyncio.timeout(10):
        while pool.ready != count:  # noqa: ASYNC110 - looked at as a health page would
            await asyncio.sleep(0.005)


async def test_without_a_pool_a_call_gets_its_session_later(
    bridge_under_test: ServeBridge, puppet: PuppetModel, talk: Talk
) -> None:
    bridge = await bridge_under_test(puppet.url, POOL_SIZE="0")
    assert puppet.sessions == []
    phone, session = await talk(bridge)
    await phone.say(*numbered(3))
    assert await session.frames(3) == numbered(3)
    assert len(puppet.sessions) == 1


async def test_a_warm_session_is_used_and_another_made_in_its_place(
    bridge_under_test: ServeBridge, puppet: PuppetModel, stack: AsyncExitStack
) -> None:
    bridge = await bridge_under_test(puppet.url, POOL_SIZE="1")
    await bridge.pool_ready(1)
    invitation = await bridge.dial()
    await bridge.pool_ready(2)
    phone = await stack.enter_async_context(open_call(bridge, invitation))
    await phone.say(*numbered(2))
    async with asyncio.timeout(5):
        while not (used := [one for one in puppet.sessions if one.audio]):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert await used[0].frames(2) == numbered(2)
    await bridge.pool_ready(1)


async def test_an_answered_voice_webhook_tops_the_pool_up(
    bridge_under_test: ServeBridge, puppet: PuppetModel
) -> None:
    bridge = await bridge_under_test(puppet.url, POOL_SIZE="1")
    await bridge.pool_ready(1)
    await bridge.dial()
    await bridge.dial()
    await bridge.pool_ready(3)
    assert puppet.open == 3


async def test_a_repeated_webhook_expects_no_further_caller(
    bridge_under_test: ServeBridge, puppet: PuppetModel
) -> None:
    bridge = await bridge_under_test(puppet.url, POOL_SIZE="1")
    invitation = await bridge.dial()
    await bridge.dial(invitation.call_sid)
    await bridge.pool_ready(2)
    assert len(puppet.sessions) == 2


async def test_an_old_session_is_replaced_before_the_server_ends_it(
    puppet: PuppetModel, pools: list[ModelPool]
) -> None:
    pool = pool_of(puppet, max_age_s=0.2)
    pools.append(pool)
    pool.start()
    second = await puppet.session(1)
    assert await puppet.sessions[0].closed() == (1000, "")
    await second.event("session.update")


async def test_a_session_that_dies_in_the_pool_is_replaced_and_never_handed_out(
    puppet: PuppetModel, pools: list[ModelPool]
) -> None:
    pool = pool_of(puppet)
    pools.append(pool)
    pool.start()
    await ready(pool, 1)
    puppet.sessions[0].reset()
    await puppet.session(1)
    await ready(pool, 1)
    leg = pool.take()
    assert leg is not None
    assert not leg.closed
    leg.close()


async def test_a_session_that_fails_in_the_pool_is_not_handed_out(
    puppet: PuppetModel, pools: list[ModelPool]
) -> None:
    pool = pool_of(puppet)
    pools.append(pool)
    pool.start()
    await ready(pool, 1)
    await puppet.sessions[0].error("session_expired", "60 minutes")
    assert (await puppet.sessions[0].closed())[0] == 1000
    await puppet.session(1)
    await ready(pool, 1)


async def test_an_empty_pool_gives_nothing(puppet: PuppetModel) -> None:
    assert pool_of(puppet, size=0).take() is None


async def test_a_server_that_refuses_is_asked_again_ever_more_rarely(
    stack: AsyncExitStack, pools: list[ModelPool]
) -> None:
    silent = await stack.enter_async_context(serve_puppet(configures=False))
    pool = pool_of(silent)
    pools.append(pool)
    pool.start()
    asked_at = []
    for number in range(3):
        session = await silent.session(number)
        asked_at.append(asyncio.get_running_loop().time())
        await session.created()
        await session.event("session.update")
        await session.error("invalid_value", "no")
        await session.closed()
    first, second = asked_at[1] - asked_at[0], asked_at[2] - asked_at[1]
    assert first >= 0.9
    assert second >= 1.8
    assert pool.last_failure == "configuration_refused"


async def test_a_pool_that_is_closed_leaves_no_socket(puppet: PuppetModel) -> None:
    pool = pool_of(puppet, size=3)
    pool.start()
    await ready(pool, 3)
    await pool.close()
    for session in puppet.sessions:
        assert await session.closed() == (1000, "")


async def test_a_pool_that_is_closed_while_it_connects_leaves_no_socket(
    stack: AsyncExitStack,
) -> None:
    silent = await stack.enter_async_context(serve_puppet(configures=False))
    pool = pool_of(silent, size=3)
    pool.start()
    for number in range(3):
        await silent.session(number)
    await pool.close()
    for session in silent.sessions:
        await session.closed()
