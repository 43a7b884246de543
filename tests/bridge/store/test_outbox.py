"""Side effects: written with their decision, delivered once, whoever dies."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from bridge.store.ledger import SideEffect
from bridge.store.outbox import Delivery, Outbox, State
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import Store
from bridge.store.worker import GiveUpError, OutboxWorker, Perform, TryAgainError, WorkerPace
from tests.bridge.store.conftest import ManualClock, Samples

SMS = SideEffect("sms", {"to": "+15550100003", "body": "Call back"})
TASK = SideEffect("callback_task", {"attributes": {"intent": "billing"}})
ALL_STATES: tuple[State, ...] = ("pending", "done", "dead", "dropped")
PACE = WorkerPace(attempt_s=5, lease_s=60, first_retry_s=10, longest_retry_s=100)


@dataclass
class Receiver:
    """The other side of side effects: does what it is told, or fails in the order given."""

    failures: list[Exception] = field(default_factory=list)
    tried: list[Delivery] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    async def perform(self, delivery: Delivery) -> str | None:
        self.tried.append(delivery)
        if self.failures:
            raise self.failures.pop(0)
        self.done.append(delivery.kind)
        return f"SM{len(self.done)}"


@dataclass
class Desk:
    """A ledger with an outbox behind it, and workers made on demand."""

    store: Store
    clock: ManualClock
    samples: Samples

    def __post_init__(self) -> None:
        self.ledger = SqlLedger(self.store, self.clock, str)
        self.outbox = Outbox(self.store, self.clock)

    async def decided(self, *effects: SideEffect, number: int = 1) -> None:
        await self.ledger.open_call(self.samples.opening(number))
        await self.ledger.record_decision(self.samples.decision(number), effects)

    def worker(self, perform: Perform, owner: str = "worker-1") -> OutboxWorker:
        kinds = {"sms": perform, "callback_task": perform}
        return OutboxWorker(
            self.outbox,
            kinds,
            owner=owner,
            clock=self.clock,
            rng=random.Random(1),
            pace=PACE,
        )

    async def states(self) -> list[tuple[str, str, int, str | None]]:
        """Kind, state, attempts and what came of it, oldest first."""
        entries = await self.outbox.entries(ALL_STATES, 100)
        return [(e.kind, e.state, e.attempts, e.result or e.error) for e in reversed(entries)]


@pytest.fixture
def desk(store: Store, clock: ManualClock, samples: Samples) -> Desk:
    return Desk(store, clock, samples)


async def test_effects_of_the_decision_that_stands_are_delivered_and_no_others(
    desk: Desk, samples: Samples
) -> None:
    await desk.decided(TASK, SMS)
    await desk.ledger.record_decision(samples.decision(route="dial"), [SideEffect("email", {})])
    receiver = Receiver()
    assert await desk.worker(receiver.perform).work_off() == 2
    assert await desk.worker(receiver.perform).work_off() == 0
    assert await desk.states() == [
        ("callback_task", "done", 1, "SM1"),
        ("sms", "done", 1, "SM2"),
    ]
    assert [delivery.payload for delivery in receiver.tried] == [TASK.payload, SMS.payload]


async def test_an_effect_added_twice_is_delivered_once(desk: Desk, samples: Samples) -> None:
    await desk.decided(SMS)
    added = [await desk.ledger.add_effects(samples.call_sid(), 0, [SMS, TASK]) for _ in range(2)]
    assert added == [1, 0]
    assert len(await desk.states()) == 2


async def test_a_delayed_effect_waits(desk: Desk, clock: ManualClock) -> None:
    await desk.decided(SideEffect("sms", {}, delay_s=30))
    receiver = Receiver()
    assert await desk.worker(receiver.perform).work_off() == 0
    clock.now += 30
    assert await desk.worker(receiver.perform).work_off() == 1


async def test_a_failed_attempt_is_repeated_later_and_later_until_it_works(
    desk: Desk, clock: ManualClock
) -> None:
    await desk.decided(SMS)
    receiver = Receiver([TryAgainError("429"), TryAgainError("429"), TryAgainError("429")])
    worker = desk.worker(receiver.perform)
    due = []
    for _ in range(4):
        await worker.work_off()
        (entry,) = await desk.outbox.entries(ALL_STATES, 1)
        due.append(entry.due_at - clock.now)
        clock.now = max(entry.due_at, clock.now)
    assert 5 <= due[0] <= 10 <= due[1] <= 20 <= due[2] <= 40
    assert await desk.states() == [("sms", "done", 4, "SM1")]
    assert [(d.attempt, d.in_doubt) for d in receiver.tried] == [
        (1, False),
        (2, False),
        (3, False),
        (4, False),
    ]


async def test_the_other_side_may_ask_for_a_longer_pause(desk: Desk, clock: ManualClock) -> None:
    await desk.decided(SMS)
    receiver = Receiver([TryAgainError("429", after_s=300)])
    await desk.worker(receiver.perform).work_off()
    (entry,) = await desk.outbox.entries(ALL_STATES, 1)
    assert entry.due_at == clock.now + 300


@pytest.mark.parametrize(
    "failure", [TryAgainError("no answer", in_doubt=True), RuntimeError("broken")], ids=repr
)
async def test_an_attempt_that_may_have_worked_leaves_all_later_ones_in_doubt(
    failure: Exception, desk: Desk, clock: ManualClock
) -> None:
    await desk.decided(SMS)
    receiver = Receiver([failure, TryAgainError("429")])
    worker = desk.worker(receiver.perform)
    for _ in range(3):
        await worker.work_off()
        clock.now += 200
    assert [delivery.in_doubt for delivery in receiver.tried] == [False, True, True]
    assert (await desk.states())[0][1] == "done"


async def test_an_attempt_that_takes_too_long_is_in_doubt(desk: Desk, clock: ManualClock) -> None:
    await desk.decided(SMS)

    async def hangs(_delivery: Delivery) -> str | None:
        await asyncio.Event().wait()
        return None

    quick = WorkerPace(attempt_s=0.05, first_retry_s=1)
    worker = OutboxWorker(
        desk.outbox,
        {"sms": hangs},
        owner="w",
        clock=clock,
        rng=random.Random(1),
        pace=quick,
    )
    await worker.work_off()
    clock.now += 10
    receiver = Receiver()
    await desk.worker(receiver.perform).work_off()
    assert [(d.attempt, d.in_doubt) for d in receiver.tried] == [(2, True)]


async def test_what_is_refused_for_good_becomes_a_dead_letter_at_once(desk: Desk) -> None:
    await desk.decided(SMS)
    await desk.worker(Receiver([GiveUpError("21211 invalid number")]).perform).work_off()
    assert await desk.states() == [("sms", "dead", 1, "21211 invalid number")]


@pytest.mark.parametrize("earlier_in_doubt", [False, True])
async def test_a_refused_attempt_leaves_only_the_doubt_of_earlier_ones(
    earlier_in_doubt: bool, desk: Desk, clock: ManualClock
) -> None:
    await desk.decided(SMS)
    failures: list[Exception] = [
        TryAgainError("no answer", in_doubt=earlier_in_doubt),
        GiveUpError("404"),
    ]
    worker = desk.worker(Receiver(failures).perform)
    for _ in range(2):
        await worker.work_off()
        clock.now += 200
    (entry,) = await desk.outbox.entries(ALL_STATES, 9)
    assert (entry.state, entry.attempts, entry.error) == ("dead", 2, "404")
    assert entry.in_doubt == earlier_in_doubt


async def test_any_reason_of_a_refusal_can_be_stored(desk: Desk) -> None:
    await desk.decided(SMS)
    await desk.worker(
        Receiver([GiveUpError("half \ud83d, none \x00 " + "x" * 999)]).perform
    ).work_off()
    (entry,) = await desk.outbox.entries(("dead",), 9)
    assert entry.error is not None
    assert entry.error.startswith("half ?, none  xxx")


async def test_what_is_not_delivered_by_its_deadline_becomes_a_dead_letter(
    desk: Desk, clock: ManualClock
) -> None:
    await desk.decided(SideEffect("sms", {}, deliver_within_s=60), SideEffect("unheard_of", {}))
    receiver = Receiver([TryAgainError("503")] * 9)
    worker = desk.worker(receiver.perform)
    for _ in range(20):
        await worker.work_off()
        clock.now += 10
    clock.now += 86_400
    await worker.work_off()
    assert await desk.states() == [
        ("sms", "dead", len(receiver.tried), "503"),
        ("unheard_of", "dead", 0, "deadline"),
    ]
    assert len(receiver.tried) < 9


async def test_two_workers_never_try_the_same_effect_at_the_same_time(desk: Desk) -> None:
    await desk.decided(*(SideEffect("sms", {"n": n}, key=str(n)) for n in range(16)))
    receiver = Receiver()
    workers = [desk.worker(receiver.perform, f"worker-{n}") for n in range(4)]
    tried = await asyncio.gather(*(worker.work_off() for worker in workers))
    assert sum(tried) == 16
    assert sorted(d.payload["n"] for d in receiver.tried) == list(range(16))


async def test_a_leased_effect_comes_back_in_doubt_when_its_worker_is_gone(
    desk: Desk, clock: ManualClock
) -> None:
    await desk.decided(SMS)
    assert len(await desk.outbox.claim("gone", ["sms"], 8, 60)) == 1
    receiver = Receiver()
    worker = desk.worker(receiver.perform)
    clock.now += 59
    assert await worker.work_off() == 0
    clock.now += 1
    assert await worker.work_off() == 1
    assert [(d.attempt, d.in_doubt) for d in receiver.tried] == [(2, True)]


async def test_a_worker_that_lost_its_lease_changes_nothing(desk: Desk, clock: ManualClock) -> None:
    await desk.decided(SMS)
    (slow,) = await desk.outbox.claim("slow", ["sms"], 8, 60)
    clock.now += 60
    (quick,) = await desk.outbox.claim("quick", ["sms"], 8, 60)
    assert not await desk.outbox.done(slow, "slow", "SM-slow")
    assert not await desk.outbox.give_up(slow, "slow", "late")
    assert await desk.outbox.done(quick, "quick", "SM-quick")
    assert await desk.states() == [("sms", "done", 2, "SM-quick")]


async def test_an_operator_retries_a_dead_letter_and_drops_a_waiting_one(desk: Desk) -> None:
    await desk.decided(SMS, TASK)
    refuse = Receiver([GiveUpError("no"), TryAgainError("503")])
    await desk.worker(refuse.perform).work_off()
    dead, waiting = sorted(await desk.outbox.entries(ALL_STATES, 9), key=lambda e: e.state)
    assert await desk.outbox.retry(dead.id, 3600)
    assert not await desk.outbox.retry(dead.id, 3600)
    assert await desk.outbox.drop(waiting.id)
    assert not await desk.outbox.drop(waiting.id)
    await desk.worker(Receiver().perform).work_off()
    assert sorted((e.id, e.state) for e in await desk.outbox.entries(ALL_STATES, 9)) == sorted(
        [(dead.id, "done"), (waiting.id, "dropped")]
    )


async def test_what_is_being_tried_cannot_be_dropped(desk: Desk) -> None:
    await desk.decided(SMS)
    (delivery,) = await desk.outbox.claim("busy", ["sms"], 8, 60)
    assert not await desk.outbox.drop(delivery.id)


async def test_a_running_worker_delivers_what_it_is_told_of_and_finishes_when_stopped(
    desk: Desk,
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def perform(_delivery: Delivery) -> str | None:
        begun.set()
        await may_end.wait()
        return "SM1"

    patient = WorkerPace(poll_s=3600)
    worker = OutboxWorker(
        desk.outbox,
        {"sms": perform},
        owner="w",
        clock=desk.clock,
        rng=random.Random(1),
        pace=patient,
    )
    running = asyncio.create_task(worker.run())
    await desk.decided(SMS)
    worker.nudge()
    async with asyncio.timeout(30):
        await begun.wait()
        worker.stop()
        may_end.set()
        await running
    assert await desk.states() == [("sms", "done", 1, "SM1")]


class Faulty(Outbox):
    """Fails once at each step, in a way nobody thought of."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        super().__init__(store, clock)
        self._faults = {"look", "done"}
        self.failed_to_settle = asyncio.Event()

    async def is_due(self) -> bool:
        if "look" in self._faults:
            self._faults.remove("look")
            raise ValueError("something private")
        return await super().is_due()

    async def done(self, delivery: Delivery, owner: str, result: str | None) -> bool:
        if "done" in self._faults:
            self._faults.remove("done")
            self.failed_to_settle.set()
            raise ValueError("something private")
        return await super().done(delivery, owner, result)


async def test_a_fault_nobody_thought_of_ends_no_worker_and_the_lease_brings_the_effect_back(
    desk: Desk,
) -> None:
    outbox, receiver, settled = Faulty(desk.store, desk.clock), Receiver(), asyncio.Event()

    async def perform(delivery: Delivery) -> str | None:
        result = await receiver.perform(delivery)
        if delivery.in_doubt:
            settled.set()
        return result

    await desk.decided(SMS)
    worker = OutboxWorker(
        outbox,
        {"sms": perform},
        owner="w",
        clock=desk.clock,
        rng=random.Random(1),
        pace=WorkerPace(poll_s=0.01),
    )
    with capture_logs() as logged:
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(30):
            await outbox.failed_to_settle.wait()
            desk.clock.now += 61
            await settled.wait()
            worker.stop()
            await running
    assert [(d.attempt, d.in_doubt) for d in receiver.tried] == [(1, False), (2, True)]
    failed = [(one["event"], one["error"]) for one in logged if "error" in one]
    assert failed == [("chore_failed", "ValueError"), ("side_effect_unsettled", "ValueError")]
