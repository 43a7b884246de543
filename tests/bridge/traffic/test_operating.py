"""What operators may do, what they are told when they may not, and that all of it is on record."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from bridge.rollouts import (
    WHOLE,
    Change,
    Plan,
    RolloutConflictError,
    RolloutState,
    changed,
)
from bridge.store.memory_rollouts import MemoryRollouts
from bridge.traffic.operating import Operator, Wish
from bridge.traffic.rollout import RolloutError

CALLED = "+14155550100"
PLAN = Plan(1000, (50, 250, 600, 1000), called=(CALLED,))
NOW = 1_000_000.0


@pytest.fixture
async def store() -> MemoryRollouts:
    store = MemoryRollouts()
    await store.publish({"acme": PLAN, "other": PLAN})
    return store


@pytest.fixture
def operator(store: MemoryRollouts) -> Operator:
    return Operator(store, lambda: NOW)


def wish(action: Any, tenant: str = "acme", **changes: Any) -> Wish:  # noqa: ANN401
    return Wish(action, tenant, changes.pop("who", "ada"), changes.pop("why", "week 1"), **changes)


async def test_a_rollout_from_five_percent_to_everybody(operator: Operator) -> None:
    shares = [(await operator.carry_out(wish("set", share=50))).shares]
    for _ in range(3):
        shares.append((await operator.carry_out(wish("advance"))).shares)  # noqa: PERF401
    shares.append((await operator.carry_out(wish("back"))).shares)
    shares.append((await operator.carry_out(wish("back", share=50))).shares)
    shares.append((await operator.carry_out(wish("back", share=0))).shares)
    assert [share[WHOLE] for share in shares] == [50, 250, 600, 1000, 600, 50, 0]


async def test_every_change_is_recorded_with_who_when_and_why(
    operator: Operator, store: MemoryRollouts
) -> None:
    after = await operator.carry_out(wish("set", share=50, why="week 1 of the trial"))
    assert after == RolloutState("acme", 1, False, {WHOLE: 50}, NOW)
    assert await store.history() == (
        Change(RolloutState("acme"), after, "set", "ada", "week 1 of the trial"),
    )


async def test_the_kill_switch_leaves_the_share_to_come_back_to(operator: Operator) -> None:
    await operator.carry_out(wish("set", share=250))
    killed = await operator.carry_out(wish("kill"))
    assert (killed.killed, killed.shares) == (True, {WHOLE: 250})
    assert await operator.carry_out(wish("kill")) == killed
    resumed = await operator.carry_out(wish("resume"))
    assert (resumed.killed, resumed.shares, resumed.version) == (False, {WHOLE: 250}, 3)


async def test_all_tenants_are_stopped_at_once(operator: Operator, store: MemoryRollouts) -> None:
    await operator.carry_out(wish("kill", WHOLE))
    rollouts = await store.read()
    assert (rollouts.all_killed, rollouts.of("acme").killed) == (True, False)


async def test_one_number_has_a_share_of_its_own_until_it_is_cleared(operator: Operator) -> None:
    await operator.carry_out(wish("set", share=50))
    state = await operator.carry_out(wish("advance", number=CALLED))
    assert state.shares == {WHOLE: 50, CALLED: 250}
    assert (await operator.carry_out(wish("clear", number=CALLED))).shares == {WHOLE: 50}


REFUSED: dict[str, tuple[Wish, str]] = {
    "an unknown tenant": (
        wish("set", "acne", share=50),
        "no tenant 'acne'; there are: acme, other",
    ),
    "an unknown tenant's kill switch": (wish("kill", "acne"), "no tenant 'acne'"),
    "all tenants at one share": (wish("set", WHOLE, share=50), r"no tenant '\*'"),
    "an unknown stage": (
        wish("advance", share=70),
        "7 % is not a stage; the stages are 5, 25, 60, 100",
    ),
    "a stage that is not ahead": (
        wish("advance", share=50),
        "5 % is not above 100 %, where the share stands",
    ),
    "a stage that is not behind": (
        wish("back", share=1000),
        "100 % is not below 100 %, where the share",
    ),
    "the last stage": (wish("advance"), "100 % is the last stage already"),
    "no stage ahead of nothing": (wish("advance", share=0), "0 % is not a stage"),
    "a number's kill switch": (wish("kill", number=CALLED), "kill takes no number"),
    "a number's resume": (wish("resume", WHOLE, number=CALLED), "resume takes no number"),
    "half a kill": (wish("kill", share=50), "kill takes no share"),
    "a share to clear": (wish("clear", number=CALLED, share=50), "clear takes no share"),
    "no share": (wish("set"), "'share' is missing"),
    "a number of somebody else": (
        wish("set", share=50, number="+14155550199"),
        r"\+14155550199 is not a number of 'acme'; there are: \+14155550100",
    ),
    "a number without a share": (wish("clear", number=CALLED), "has no share of its own"),
    "nobody": (wish("set", share=50, who=" "), "'who' is empty"),
    "no reason": (wish("set", share=50, why=""), "'why' is empty"),
    "a novel": (wish("set", share=50, why="x" * 501), "'why' has 501 characters, expected up to"),
    "two lines": (wish("set", share=50, why="a\nb"), "on one line"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    case: str, operator: Operator, store: MemoryRollouts
) -> None:
    wanted, message = REFUSED[case]
    with pytest.raises(RolloutError, match=message):
        await operator.carry_out(wanted)
    assert await store.history() == ()


async def test_a_tenant_of_every_number_takes_a_share_for_what_is_a_number(
    operator: Operator, store: MemoryRollouts
) -> None:
    await store.publish({"every": dataclasses.replace(PLAN, called=(WHOLE,))})
    state = await operator.carry_out(wish("set", "every", share=50, number="+14155550177"))
    assert state.shares == {WHOLE: 1000, "+14155550177": 50}
    with pytest.raises(RolloutError, match="'415 555' is not a number in E"):
        await operator.carry_out(wish("set", "every", share=50, number="415 555"))


async def test_a_database_that_nobody_serves_says_so() -> None:
    operator = Operator(MemoryRollouts(), lambda: NOW)
    with pytest.raises(RolloutError, match="no process has served this database yet"):
        await operator.carry_out(wish("set", share=50))


class Contended(MemoryRollouts):
    """Somebody else is always a moment faster, ``times`` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def change(self, change: Change) -> None:
        if self.times:
            self.times -= 1
            before = (await self.read()).of(change.tenant)
            after = dataclasses.replace(changed(before, NOW), shares={WHOLE: before.version})
            await super().change(Change(before, after, "set", "bob", "me first"))
        await super().change(change)


async def test_a_share_that_somebody_moved_meanwhile_is_not_overwritten() -> None:
    store = Contended(1)
    await store.publish({"acme": PLAN})
    with pytest.raises(RolloutConflictError, match="was changed meanwhile"):
        await Operator(store, lambda: NOW).carry_out(wish("set", share=50))


async def test_a_kill_switch_wins_all_the_same() -> None:
    store = Contended(5)
    await store.publish({"acme": PLAN})
    state = await Operator(store, lambda: NOW).carry_out(wish("kill"))
    assert (state.killed, state.version) == (True, 6)


async def test_two_operators_at_once_do_not_undo_each_other(store: MemoryRollouts) -> None:
    operator = Operator(store, lambda: NOW)
    wishes = [wish("set", share=50), wish("kill", who="bob"), wish("kill", "other")]
    await asyncio.gather(*map(operator.carry_out, wishes))
    rollouts = await store.read()
    assert (rollouts.of("acme").killed, rollouts.of("acme").shares) == (True, {WHOLE: 50})
    assert rollouts.of("other").killed
