"""Every process sees a change soon, and keeps what it knows when the store is gone."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from bridge.errors import TriageBridgeError
from bridge.rollouts import Change, Rollouts, RolloutState, changed
from bridge.store.memory_rollouts import MemoryRollouts
from bridge.traffic.watcher import RolloutWatcher

WITHIN_S = 20.0


class Shaky(MemoryRollouts):
    """A store that can be taken away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.fault: Exception = TriageBridgeError("gone")
        self.asked = asyncio.Event()

    async def read(self) -> Rollouts:
        self.asked.set()
        if self.away:
            raise self.fault
        return await super().read()

    async def kill(self) -> None:
        before = (await super().read()).of("acme")
        after = changed(before, 1.0, killed=True)
        await self.change(Change(before, after, "kill", "ada", "smoke"))

    async def next_look(self) -> None:
        """Until it was asked once more, and answered."""
        async with asyncio.timeout(WITHIN_S):
            for _ in range(2):
                self.asked.clear()
                await self.asked.wait()


async def test_nothing_is_known_before_the_first_look() -> None:
    watcher = RolloutWatcher(MemoryRollouts())
    assert watcher.current is None
    await watcher.refresh()
    assert watcher.current == Rollouts()


async def test_a_change_is_seen_at_the_next_look() -> None:
    store = Shaky()
    watcher = RolloutWatcher(store, every_s=0.01)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run())
        await store.next_look()
        await store.kill()
        await store.next_look()
        assert watcher.current is not None
        assert watcher.current.of("acme").killed
        watcher.stop()


@pytest.mark.parametrize(
    ("fault", "told"),
    [(TriageBridgeError("gone"), "gone"), (ValueError("something private"), "ValueError")],
    ids=["away", "our own mistake"],
)
async def test_a_kill_switch_that_was_seen_holds_without_the_store_and_it_is_told_once(
    fault: Exception, told: str
) -> None:
    store = Shaky()
    store.fault = fault
    watcher = RolloutWatcher(store)
    await store.kill()
    await watcher.refresh()
    store.away = True
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await watcher.refresh()
        store.away = False
        await watcher.refresh()
    assert watcher.current is not None
    assert watcher.current.of("acme").killed
    assert [(entry["event"], entry.get("error")) for entry in logs] == [
        ("rollout_unread", told),
        ("rollout_read_again", None),
    ]


async def test_a_change_is_logged_without_telephone_numbers() -> None:
    store = MemoryRollouts()
    watcher = RolloutWatcher(store)
    await watcher.refresh()
    before = RolloutState("acme")
    after = changed(before, 1.0, shares={"*": 50, "+14155550100": 250})
    await store.change(Change(before, after, "set", "ada", "week 1"))
    with structlog.testing.capture_logs() as logs:
        await watcher.refresh()
    assert logs == [
        {
            "event": "rollout_changed",
            "log_level": "info",
            "tenant": "acme",
            "version": 1,
            "killed": False,
            "shares": [50, 250],
        }
    ]


@pytest.mark.parametrize("looks", [1, 3])
async def test_without_a_change_nothing_is_logged(looks: int) -> None:
    watcher = RolloutWatcher(MemoryRollouts())
    with structlog.testing.capture_logs() as logs:
        for _ in range(looks):
            await watcher.refresh()
    assert logs == []
