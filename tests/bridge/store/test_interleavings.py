"""Whatever happens in whatever order, and at the same time: one outcome, each effect once."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.store.ledger import (
    CallEnd,
    LedgerUnavailableError,
    SideEffect,
    StoredDecision,
)
from bridge.store.outbox import Delivery, Outbox
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import Store
from bridge.store.worker import GiveUpError, OutboxWorker, Perform, TryAgainError, WorkerPace
from tests.bridge.store.conftest import ManualClock, Samples, StoreMaker

CALLS = (1, 2)
LEASE_S = 60.0
PATIENCE = 5

Step: TypeAlias = tuple[str, int]


@dataclass
class Twilio:
    """Carries out side effects; ``mood`` says what goes wrong with the next ones."""

    mood: list[str] = field(default_factory=list)
    carried_out: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    async def perform(self, delivery: Delivery) -> str:
        effect = (delivery.call_sid, delivery.kind, str(delivery.payload["route"]))
        if delivery.in_doubt and effect in self.carried_out:
            return "found"
        mood = self.mood.pop() if self.mood else "well"
        if mood == "busy":
            raise TryAgainError("429")
        if mood == "unreachable":
            raise RuntimeError("nothing was sent")
        self.carried_out[effect] += 1
        if mood == "mute":
            raise TryAgainError("no answer", in_doubt=True)
        return "made"


class Town:
    """Two processes that answer for the same calls, and what each was told."""

    def __init__(self, store: Store, clock: ManualClock, samples: Samples) -> None:
        self.clock = clock
        self.samples = samples
        self.twilio = Twilio()
        self.outbox = Outbox(store, clock)
        self.ledgers = [SqlLedger(store, clock, str) for _ in range(2)]
        self.heard: dict[int, set[str]] = {number: set() for number in CALLS}
        self.ends: dict[int, list[bool]] = {number: [] for number in CALLS}
        self.unsure: set[int] = set()
        """Calls of which an end was told, and it is not known whether it was taken."""

    def worker(self, owner: str, perform: Perform) -> OutboxWorker:
        return OutboxWorker(
            self.outbox,
            {"sms": perform},
            owner=owner,
            clock=self.clock,
            rng=random.Random(0),
            pace=WorkerPace(lease_s=LEASE_S, first_retry_s=1, longest_retry_s=5),
        )

    async def decide(self, number: int, process: int, route: str) -> None:
        decision = self.samples.decision(number, route=route)
        effects = [SideEffect("sms", {"route": route})]
        self._hear(number, await self.ledgers[process].record_decision(decision, effects))

    async def after(self, number: int, process: int) -> None:
        """As the webhook does: the decision, else the fallback becomes it."""
        standing = await self.ledgers[process].decision(self.samples.call_sid(number))
        if standing is None:
            fallback = self.samples.decision(number, route="fallback")
            standing = await self.ledgers[process].record_decision(fallback)
        self._hear(number, standing)

    async def status(self, number: int, process: int) -> None:
        end = CallEnd(self.samples.call_sid(number), "completed", self.clock.now)
        try:
            self.ends[number].append(await self.ledgers[process].close_call(end))
        except LedgerUnavailableError:
            self.unsure.add(number)

    async def deliver(self, _number: int, process: int) -> None:
        await self.worker(f"process-{process}", self.twilio.perform).work_off()

    async def crash(self, _number: int, process: int) -> None:
        """A worker takes what is due, and is never heard of again."""
        await self.outbox.claim(f"dead-{process}", ["sms"], 8, LEASE_S)

    async def wait(self, _number: int, _process: int) -> None:
        self.clock.now += 7

    def _hear(self, number: int, standing: StoredDecision) -> None:
        self.heard[number].add(standing.route)


MOODS = st.lists(st.sampled_from(["well", "busy", "mute", "unreachable"]), max_size=6)
ACTS = st.tuples(
    st.sampled_from(["decide", "decide", "after", "status", "deliver", "crash", "wait"]),
    st.sampled_from(CALLS),
    st.integers(0, 1),
)


@given(rounds=st.lists(st.lists(ACTS, min_size=1, max_size=4), max_size=8), moods=MOODS)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25
)
async def test_any_interleaving_ends_in_one_outcome_and_each_effect_once(
    rounds: list[list[tuple[str, int, int]]],
    moods: list[str],
    make_store: StoreMaker,
    samples: Samples,
) -> None:
    """What stands in one round happens at the same time."""
    clock = ManualClock()
    async with make_store(clock) as store:
        town = Town(store, clock, samples)
        town.twilio.mood = list(moods)
        for number in CALLS:
            await town.ledgers[0].open_call(samples.opening(number))
        for at, acts in enumerate(rounds):
            await asyncio.gather(*(perform(town, act, f"route-{at}") for act in acts))
        await settle(town)
        for number in CALLS:
            assert len(town.heard[number]) == 1
            told = bool(town.ends[number])
            assert sum(town.ends[number]) == int(told) or number in town.unsure
        expected = Counter(
            (samples.call_sid(number), "sms", route)
            for number in CALLS
            for route in town.heard[number]
            if route != "fallback"
        )
        assert town.twilio.carried_out == expected
        states = {entry.state for entry in await town.outbox.entries(("pending", "dead"), 99)}
        assert states == set()


async def perform(town: Town, act: tuple[str, int, int], route: str) -> None:
    """A machine too busy to answer in time is asked again: nothing of this may count twice."""
    name, number, process = act
    method: Callable[[int, int], Awaitable[None]] = getattr(town, name)
    for _ in range(PATIENCE):
        with contextlib.suppress(LedgerUnavailableError):
            if name == "decide":
                return await town.decide(number, process, f"{route}-{process}")
            return await method(number, process)
    raise AssertionError(f"{name} did not come through in {PATIENCE} attempts")


async def settle(town: Town) -> None:
    """Everybody asks once more, and the last worker gets all the time it wants."""
    for number in CALLS:
        for process in (0, 1):
            await town.after(number, process)
    town.twilio.mood = []
    for _ in range(3):
        town.clock.now += LEASE_S + 10
        await town.deliver(1, 0)


async def test_a_dead_letter_is_not_delivered_by_anybody(
    make_store: StoreMaker, samples: Samples, clock: ManualClock
) -> None:
    async with make_store(clock) as store:
        town = Town(store, clock, samples)
        await town.ledgers[0].open_call(samples.opening(1))
        await town.decide(1, 0, "flex")

        async def refused(_delivery: Delivery) -> str:
            raise GiveUpError("no such number")

        await town.worker("a", refused).work_off()
        clock.now += 1000
        await town.deliver(1, 0)
        assert town.twilio.carried_out == Counter()
