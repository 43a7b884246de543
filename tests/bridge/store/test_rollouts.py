"""The state of rollouts: the same contract in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.rollouts import (
    WHOLE,
    Action,
    Change,
    Plan,
    RolloutConflictError,
    Rollouts,
    RolloutState,
    RolloutStore,
    changed,
)
from bridge.store.memory_rollouts import MemoryRollouts
from bridge.store.prices import read_prices
from bridge.store.recorder import CallRecorder
from bridge.store.rollouts import KEPT_S, SqlRollouts, sides
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import Store
from tests.bridge.store.conftest import (
    MAKERS,
    START,
    ManualClock,
    Samples,
    counted_tokens,
    store_maker,
)

ADA, BOB = "ada", "bob"
CALLED = "+14155550100"
PLAN = Plan(50, (50, 250, 1000), {CALLED: 250}, (CALLED,))


@pytest.fixture(params=MAKERS)
async def rollouts(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[RolloutStore]:
    if request.param == "memory":
        yield MemoryRollouts()
        return
    async with store_maker(request.param, request, tmp_path)(clock) as store:
        yield SqlRollouts(store.database)


def set_to(
    before: RolloutState, share: int, *, who: str = ADA, action: Action = "set", why: str = "week 1"
) -> Change:
    after = changed(before, START + before.version, shares={WHOLE: share})
    return Change(before, after, action, who, why)


async def test_nothing_was_said_of_anybody(rollouts: RolloutStore) -> None:
    assert await rollouts.read() == Rollouts()
    assert (await rollouts.read()).of("acme") == RolloutState("acme")
    assert await rollouts.history() == ()
    assert await rollouts.counted({"acme": 0.0}) == {"acme": {}}
    assert await rollouts.counted({}) == {}


async def test_a_change_is_read_by_everybody_and_logged_with_who_when_and_why(
    rollouts: RolloutStore,
) -> None:
    first = set_to(RolloutState("acme"), 50)
    second = Change(first.after, changed(first.after, START + 9, killed=True), "kill", BOB, "smoke")
    other = set_to(RolloutState("other"), 1000)
    for change in (first, other, second):
        await rollouts.change(change)
    assert await rollouts.read() == Rollouts({"acme": second.after, "other": other.after})
    assert await rollouts.history("acme") == (second, first)
    assert await rollouts.history("acme", limit=1) == (second,)
    assert (await rollouts.history())[0] == second
    assert len(await rollouts.history()) == 3
    assert second.after.shares == {WHOLE: 50}


async def test_whoever_did_not_see_the_last_change_changes_nothing(rollouts: RolloutStore) -> None:
    fresh = RolloutState("acme")
    first = set_to(fresh, 50)
    await rollouts.change(first)
    for stale in (set_to(fresh, 1000, who=BOB), set_to(RolloutState("acme", 7), 1000, who=BOB)):
        with pytest.raises(RolloutConflictError) as conflict:
            await rollouts.change(stale)
        assert conflict.value.current == first.after
    assert await rollouts.read() == Rollouts({"acme": first.after})
    assert await rollouts.history() == (first,)


async def test_a_change_whose_answer_got_lost_may_be_written_again(rollouts: RolloutStore) -> None:
    first = set_to(RolloutState("acme"), 50)
    await rollouts.change(first)
    await rollouts.change(first)
    assert await rollouts.history() == (first,)


async def test_of_many_changes_at_once_exactly_one_is_made(rollouts: RolloutStore) -> None:
    changes = [set_to(RolloutState("acme"), share, who=str(share)) for share in range(1, 9)]
    results = await asyncio.gather(*map(rollouts.change, changes), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, RolloutConflictError) for result in results) == 7
    [made] = await rollouts.history()
    assert (await rollouts.read()).of("acme") == made.after


async def test_plans_are_published_and_replaced(rollouts: RolloutStore) -> None:
    await rollouts.publish({})
    await rollouts.publish({"acme": PLAN, "other": PLAN})
    newer = Plan(1000, (1000,))
    await rollouts.publish({"acme": newer})
    assert (await rollouts.read()).plans == {"acme": newer, "other": PLAN}


async def test_counts_of_all_processes_are_summed_from_a_moment_on(rollouts: RolloutStore) -> None:
    await rollouts.count("one", START, {"acme": {"calls": 3, "turns": 9}, "other": {"calls": 1}})
    await rollouts.count("two", START, {"acme": {"calls": 2}})
    await rollouts.count("one", START + 1, {"acme": {"calls": 1}})
    everything = {"acme": {"calls": 6, "turns": 9}, "other": {"calls": 1}}
    assert await rollouts.counted({"acme": START, "other": START}) == everything
    assert await rollouts.counted({"acme": START + 0.5}) == {"acme": {"calls": 1}}


async def test_old_counts_go(store: Store) -> None:
    rollouts = SqlRollouts(store.database)
    await rollouts.count("one", START, {"acme": {"calls": 3}})
    await rollouts.count("one", START + KEPT_S + 1, {})
    assert await rollouts.counted({"acme": 0.0}) == {"acme": {}}


async def test_calls_are_counted_by_called_number_side_and_reason(
    store: Store, samples: Samples, clock: ManualClock
) -> None:
    ledger = SqlLedger(store, clock, counted_tokens())
    recorder = CallRecorder(store, read_prices(), clock=clock)
    await ledger.open_call(samples.opening(1, side_reason="share"))
    await ledger.open_call(samples.opening(2, started_at=START - 100))
    for number in (3, 4):
        recorder.passed_on(samples.opening(number), "kill_switch")
    recorder.passed_on(samples.opening(5, tenant="other"), "share")
    await recorder.flush()
    called = samples.opening().to_number
    assert await sides(store, "default", START) == {
        (called, "ai", "share"): 1,
        (called, "today", "kill_switch"): 2,
    }


async def test_the_same_change_by_somebody_else_is_a_conflict(rollouts: RolloutStore) -> None:
    await rollouts.change(set_to(RolloutState("acme"), 50))
    with pytest.raises(RolloutConflictError):
        await rollouts.change(set_to(RolloutState("acme"), 50, who=BOB))


async def test_steps_back_are_counted_by_tenant(rollouts: RolloutStore) -> None:
    first = set_to(RolloutState("acme"), 250)
    await rollouts.change(first)
    second = set_to(first.after, 50, who="guard on p0", action="guard")
    await rollouts.change(second)
    await rollouts.change(set_to(second.after, 0, who="guard on p1", action="guard"))
    assert await rollouts.steps_back() == {"acme": 2}


async def test_what_opens_the_commands_is_published_with_the_plan(rollouts: RolloutStore) -> None:
    locked_plan = replace(PLAN, lock="salt$digest")
    await rollouts.publish({"acme": locked_plan})
    assert (await rollouts.read()).plans == {"acme": locked_plan}
