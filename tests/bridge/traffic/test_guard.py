"""What the guard judges, and that it steps back, logs why, and never steps up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bridge.rollouts import WHOLE, Change, RolloutState, changed
from bridge.store.memory_rollouts import MemoryRollouts
from bridge.traffic import guard as g
from bridge.traffic.guard import Breach, Tallies, judge, turn_counts
from bridge.traffic.guarding import RolloutGuard
from bridge.traffic.rollout import plan_of
from bridge.traffic.watcher import RolloutWatcher
from dispatch.policy import TenantPolicy
from dispatch.rollout import Guard
from tests.bridge.traffic.conftest import policy_of

GUARD = Guard(min_calls=20, min_turns=40)
PLAIN_TURN: dict[str, float | bool] = {
    "turn": 1,
    "first_model_audio_ms": 801.0,
    "first_audio_out_ms": 1400.0,
    "bridge_ms": 0.2,
    "used_tool": False,
    "decided": False,
}
OTHER = "+14155550101"

CASES: dict[str, tuple[dict[str, int], Breach | None]] = {
    "nothing was seen": ({}, None),
    "all is well": ({g.CALLS: 100, g.MODEL_TURNS: 400, g.AUDIO_TURNS: 400}, None),
    "too few turns to judge": ({g.MODEL_TURNS: 39, g.MODEL_SLOW: 39, g.MODEL_FAR: 39}, None),
    "p95 at the limit": ({g.MODEL_TURNS: 100, g.MODEL_SLOW: 5}, None),
    "p95 of the model's audio above it": (
        {g.MODEL_TURNS: 100, g.MODEL_SLOW: 6},
        Breach("p95 of first model audio above 800 ms: 6 of 100 turns, allowed are 5 %", False),
    ),
    "p95 of the model's audio far above it": (
        {g.MODEL_TURNS: 100, g.MODEL_SLOW: 50, g.MODEL_FAR: 6},
        Breach("p95 of first model audio above 800 ms: 50 of 100 turns, allowed are 5 %", True),
    ),
    "p95 of first audio": (
        {g.AUDIO_TURNS: 40, g.AUDIO_SLOW: 3},
        Breach("p95 of first audio above 1400 ms: 3 of 40 turns, allowed are 5 %", False),
    ),
    "too few calls to judge": ({g.CALLS: 19, g.FALLBACKS: 19}, None),
    "fallbacks": (
        {g.CALLS: 100, g.FALLBACKS: 6},
        Breach("fallbacks: 6 of 100 calls, allowed are 5 %", False),
    ),
    "many fallbacks": (
        {g.CALLS: 100, g.FALLBACKS: 16},
        Breach("fallbacks: 16 of 100 calls, allowed are 5 %", True),
    ),
    "dispatch failures": (
        {g.CALLS: 100, g.DISPATCH_FAILURES: 3},
        Breach("dispatch failures: 3 of 100 calls, allowed are 2 %", False),
    ),
    "callers hanging up": (
        {g.CALLS: 100, g.EARLY_HANGUPS: 21},
        Breach("early hangups: 21 of 100 calls, allowed are 20 %", False),
    ),
    "the severe one of several": (
        {g.CALLS: 100, g.EARLY_HANGUPS: 21, g.FALLBACKS: 99},
        Breach("fallbacks: 99 of 100 calls, allowed are 5 %", True),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_a_breach(case: str) -> None:
    tally, breach = CASES[case]
    assert judge(tally, GUARD) == breach
    assert judge(tally, GUARD.model_copy(update={"enabled": False})) is None


@given(st.lists(st.floats(1, 5000), min_size=40, max_size=400))
def test_counting_turns_is_the_same_as_asking_for_the_percentile(times: list[float]) -> None:
    """The nearest-rank p95 is above the limit exactly when more than 5 % are."""
    counts: Counter[str] = Counter()
    for took_ms in times:
        counts += turn_counts({"first_model_audio_ms": took_ms}, GUARD)
    rank = -(-95 * len(times) // 100)
    p95 = sorted(times)[rank - 1]
    breach = judge(counts, GUARD)
    assert (breach is not None) == (p95 > 800)
    assert (breach is not None and breach.severe) == (p95 > 2400)


def test_what_was_not_measured_is_not_counted() -> None:
    unheard = {"first_model_audio_ms": None, "first_audio_out_ms": None}
    assert turn_counts(unheard, GUARD) == Counter()
    assert +turn_counts(PLAIN_TURN, GUARD) == Counter(
        {g.MODEL_TURNS: 1, g.MODEL_SLOW: 1, g.AUDIO_TURNS: 1}
    )


@pytest.mark.parametrize("waited_for", ["used_tool", "decided"])
def test_an_answer_that_waited_for_a_tool_or_a_decision_is_not_held_against_the_model(
    waited_for: str,
) -> None:
    assert turn_counts({**PLAIN_TURN, waited_for: True}, GUARD) == Counter()


def test_tallies_are_told_once_and_kept_when_they_could_not_be() -> None:
    tallies = Tallies()
    tallies.add("acme", {g.CALLS: 1, g.FALLBACKS: 0})
    taken = tallies.take()
    assert taken == {"acme": {g.CALLS: 1}}
    assert tallies.take() == {}
    tallies.give_back(taken)
    tallies.add("acme", {g.CALLS: 2})
    assert tallies.take() == {"acme": {g.CALLS: 3}}


# --- stepping back ---------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Station:
    """Processes with a guard each, over one store."""

    def __init__(self, policy: TenantPolicy, processes: int = 1) -> None:
        self.policy = policy
        self.clock = Clock()
        self.store = MemoryRollouts()
        self.pages: list[str] = []
        self.tallies = [Tallies() for _ in range(processes)]
        self.watchers = [RolloutWatcher(self.store) for _ in range(processes)]
        self.guards = [
            RolloutGuard(
                watcher,
                self.store,
                tallies,
                lambda: [self.policy],
                process=f"p{index}",
                clock=self.clock,
                page=self._page,
            )
            for index, (watcher, tallies) in enumerate(
                zip(self.watchers, self.tallies, strict=True)
            )
        ]

    async def _page(self, _policy: TenantPolicy, text: str) -> None:
        self.pages.append(text)

    async def look(self) -> None:
        """All tell what they saw, then all judge what they knew before anybody did anything."""
        for watcher, guard in zip(self.watchers, self.guards, strict=True):
            await watcher.refresh()
            await guard.flush()
        for guard in self.guards:
            await guard.look()

    async def state(self) -> RolloutState:
        return (await self.store.read()).of("acme")

    async def history(self) -> list[Change]:
        return list(await self.store.history())

    async def operator_sets(self, share: int) -> None:
        before = await self.state()
        after = changed(before, self.clock(), shares={WHOLE: share})
        await self.store.change(Change(before, after, "set", "ada", "week 2"))


BAD = {g.CALLS: 30, g.FALLBACKS: 3}
SEVERE = {g.CALLS: 30, g.FALLBACKS: 20}


async def test_on_a_breach_every_share_goes_one_stage_back_and_the_operator_is_told() -> None:
    station = Station(policy_of({"share": 60, "numbers": {OTHER: 25}}))
    station.tallies[0].add("acme", BAD)
    await station.look()
    assert (await station.state()).shares == {WHOLE: 250, OTHER: 50}
    [change] = await station.history()
    reason = "fallbacks: 3 of 30 calls, allowed are 5 %"
    assert (change.action, change.who, change.why) == ("guard", "guard on p0", reason)
    assert station.pages == [f"rollout of acme went one stage back: {reason}"]
    assert station.guards[0].steps_back == 1


class Faulty(MemoryRollouts):
    """A store that fails the first time, in a way nobody thought of."""

    def __init__(self) -> None:
        super().__init__()
        self.counted_at_last = asyncio.Event()
        self._failed = False

    async def count(
        self, process: str, at: float, tallies: Mapping[str, Mapping[str, int]]
    ) -> None:
        if not self._failed:
            self._failed = True
            raise ValueError("something private")
        await super().count(process, at, tallies)
        self.counted_at_last.set()


async def test_a_fault_nobody_thought_of_ends_no_guard_and_what_was_seen_is_told_later() -> None:
    store, clock, tallies = Faulty(), Clock(), Tallies()
    guard = RolloutGuard(RolloutWatcher(store), store, tallies, list, process="p0", clock=clock)
    tallies.add("acme", BAD)
    with capture_logs() as logged:
        running = asyncio.create_task(guard.run())
        async with asyncio.timeout(30):
            await store.counted_at_last.wait()
            guard.stop()
            await running
    assert [(one["event"], one["chore"], one["error"]) for one in logged] == [
        ("chore_failed", "guard", "ValueError")
    ]
    assert (await store.counted({"acme": 0.0}))["acme"] == BAD


async def test_on_a_severe_breach_the_share_goes_to_zero_and_stays_there() -> None:
    station = Station(policy_of({"share": 60}))
    station.tallies[0].add("acme", SEVERE)
    await station.look()
    assert (await station.state()).shares == {WHOLE: 0}
    for _ in range(5):
        station.clock.now += 1000
        station.tallies[0].add("acme", {g.CALLS: 100})
        await station.look()
    assert (await station.state()).shares == {WHOLE: 0}
    assert len(await station.history()) == 1


async def test_what_was_seen_before_a_change_is_not_held_against_it() -> None:
    station = Station(policy_of({"share": 60}))
    station.tallies[0].add("acme", BAD)
    await station.look()
    station.clock.now += 1
    await station.look()
    assert (await station.state()).shares == {WHOLE: 250}
    station.tallies[0].add("acme", BAD)
    await station.look()
    assert (await station.state()).shares == {WHOLE: 50}


async def test_the_window_slides() -> None:
    station = Station(policy_of({"share": 60}, guard={"window_s": 60}))
    station.tallies[0].add("acme", {g.CALLS: 15, g.FALLBACKS: 3})
    await station.look()
    station.clock.now += 61
    station.tallies[0].add("acme", {g.CALLS: 15, g.FALLBACKS: 3})
    await station.look()
    assert await station.history() == []
    station.clock.now += 59
    station.tallies[0].add("acme", {g.CALLS: 15, g.FALLBACKS: 3})
    await station.look()
    assert len(await station.history()) == 1


async def test_the_counts_of_all_processes_are_judged_together_and_acted_on_once() -> None:
    station = Station(policy_of({"share": 60}), processes=3)
    for tallies in station.tallies:
        tallies.add("acme", {g.CALLS: 10, g.FALLBACKS: 1})
    await station.look()
    assert (await station.state()).shares == {WHOLE: 250}
    assert [guard.steps_back for guard in station.guards] == [1, 0, 0]


async def test_an_operator_who_was_first_is_not_overruled() -> None:
    station = Station(policy_of({"share": 60}))
    station.tallies[0].add("acme", BAD)
    await station.watchers[0].refresh()
    await station.operator_sets(50)
    await station.guards[0].flush()
    await station.guards[0].look()
    assert (await station.state()).shares == {WHOLE: 50}


@pytest.mark.parametrize("why", ["switched off", "killed", "nobody has the ai"])
async def test_there_is_nothing_to_step_back_from(why: str) -> None:
    station = Station(policy_of({"share": 60}, guard={"enabled": why != "switched off"}))
    if why == "nobody has the ai":
        await station.operator_sets(0)
    elif why == "killed":
        before = await station.state()
        after = replace(changed(before, station.clock()), killed=True)
        await station.store.change(Change(before, after, "kill", "ada", "smoke"))
    changes = await station.history()
    station.clock.now += 1
    station.tallies[0].add("acme", SEVERE)
    await station.look()
    assert await station.history() == changes


def test_a_plan_keeps_its_stages() -> None:
    assert plan_of(policy_of()).stages == (50, 250, 600, 1000)
