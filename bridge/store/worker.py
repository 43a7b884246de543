"""Delivering side effects: one worker a process, any number of processes.

How an effect of a kind is performed comes from outside (``Perform``); here is when it is tried,
how often, and what follows. An effect is performed once as long as its performer looks up an
attempt that is in doubt before it repeats it, and as long as no attempt outlives its lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from bridge.errors import TriageBridgeError
from bridge.store.failures import UnstorableError
from bridge.store.ledger import LedgerUnavailableError
from bridge.store.outbox import Delivery, Outbox

log = structlog.get_logger("bridge.outbox")

Perform: TypeAlias = Callable[[Delivery], Awaitable[str | None]]
"""Carry out one effect; gives what came of it (a SID) or None.

With ``Delivery.in_doubt`` it first looks for what an earlier attempt may have made, and gives that.
Raises ``TryAgainError`` or ``GiveUpError``; any other exception leaves the attempt in doubt.
"""


class TryAgainError(TriageBridgeError):
    """Not done, worth another attempt.

    ``in_doubt``: it may have been carried out nevertheless (no answer came).
    ``after_s``: the earliest time the other side wants to be asked again.
    """

    def __init__(
        self, message: str, *, in_doubt: bool = False, after_s: float | None = None
    ) -> None:
        self.in_doubt = in_doubt
        self.after_s = after_s
        super().__init__(message)


class GiveUpError(TriageBridgeError):
    """Never to be done: refused for good."""


@dataclass(frozen=True, slots=True)
class WorkerPace:
    """Seconds. An attempt must end well before its lease does, whatever it waits for."""

    attempt_s: float = 20.0
    lease_s: float = 60.0
    poll_s: float = 1.0
    """How soon another process's effects are seen; our own are told by ``nudge``."""
    gather_s: float = 0.1
    """After a nudge: what is decided meanwhile is claimed with it, in one write."""
    first_retry_s: float = 1.0
    longest_retry_s: float = 600.0
    at_once: int = 16

    def retry_in_s(self, attempt: int, rng: random.Random) -> float:
        """Doubling, with jitter: anything from half of it to all of it."""
        most = min(self.longest_retry_s, self.first_retry_s * 2.0 ** min(attempt - 1, 30))
        return most * rng.uniform(0.5, 1.0)


class OutboxWorker:
    """``run`` delivers until ``stop``. ``owner`` must be this process's name alone.

    ``clock`` gives Unix seconds; processes on several machines must agree on it to within a few
    seconds, far less than a lease.
    """

    def __init__(
        self,
        outbox: Outbox,
        perform: Mapping[str, Perform],
        *,
        owner: str,
        clock: Callable[[], float],
        rng: random.Random,
        pace: WorkerPace | None = None,
    ) -> None:
        self._outbox = outbox
        self._perform = dict(perform)
        self._owner = owner
        self._clock = clock
        self._rng = rng
        self._pace = pace or WorkerPace()
        self._woken = asyncio.Event()
        self._attempts: set[asyncio.Task[None]] = set()
        self._stopping = False

    def nudge(self) -> None:
        """Something was written just now: do not wait for the next poll."""
        self._woken.set()

    def stop(self) -> None:
        """Claim nothing more; ``run`` returns when the attempts in progress are over."""
        self._stopping = True
        self.nudge()

    async def run(self) -> None:
        """A database in trouble is asked again, less often. Cancelled, attempts are left in doubt
        until their leases end.
        """
        failures = 0
        async with asyncio.TaskGroup() as owner:
            while not self._stopping:
                try:
                    claimed = await self._start_due(owner)
                    failures = 0
                except LedgerUnavailableError:
                    claimed, failures = 0, failures + 1  # the log knows it from the database
                except Exception as error:  # calls in progress are not to end with it
                    claimed, failures = 0, failures + 1
                    log.error("chore_failed", chore="outbox", error=type(error).__name__)
                if not claimed or len(self._attempts) >= self._pace.at_once:
                    await self._rest(self._pace.poll_s * min(2**failures, 30))

    async def work_off(self) -> int:
        """Try once whatever is due now, to the end. How many were tried."""
        async with asyncio.TaskGroup() as owner:
            return await self._start_due(owner)

    async def _start_due(self, owner: asyncio.TaskGroup) -> int:
        free = self._pace.at_once - len(self._attempts)
        if free < 1 or not await self._outbox.is_due():
            return 0
        buried = await self._outbox.bury_overdue()
        if buried:
            log.error("side_effects_overdue", count=buried)
        claimed = await self._outbox.claim(
            self._owner, list(self._perform), free, self._pace.lease_s
        )
        for delivery in claimed:
            attempt = owner.create_task(self._attempt(delivery))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempt_over)
        return len(claimed)

    def _attempt_over(self, attempt: asyncio.Task[None]) -> None:
        self._attempts.discard(attempt)
        self.nudge()

    async def _rest(self, most_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._woken.wait()
            await asyncio.sleep(0 if self._stopping else self._pace.gather_s)
        self._woken.clear()

    async def _attempt(self, delivery: Delivery) -> None:
        """Must not raise: the other attempts of the round go on."""
        told = log.bind(
            id=delivery.id,
            kind=delivery.kind,
            call_sid=delivery.call_sid,
            attempt=delivery.attempt,
        )
        try:
            await self._judged(delivery, told)
        except (LedgerUnavailableError, UnstorableError):
            told.error("side_effect_unsettled")  # its lease brings it back, in doubt
        except Exception as error:
            told.error("side_effect_unsettled", error=type(error).__name__)

    async def _judged(self, delivery: Delivery, told: structlog.stdlib.BoundLogger) -> None:
        try:
            async with asyncio.timeout(self._pace.attempt_s):
                result = await self._perform[delivery.kind](delivery)
        except TryAgainError as error:
            told.warning("side_effect_put_off", error=str(error)[:200])
            await self._put_off(delivery, str(error), error.in_doubt, error.after_s or 0.0)
        except GiveUpError as error:
            told.error("side_effect_refused", error=str(error)[:200])
            await self._outbox.give_up(delivery, self._owner, str(error))
        except Exception as error:
            # The performer's edge: whatever broke in it, we do not know what it did before.
            told.error("side_effect_failed", error=type(error).__name__)
            await self._put_off(delivery, type(error).__name__, True, 0.0)
        else:
            if await self._outbox.done(delivery, self._owner, result):
                told.info("side_effect_done", result=result)
            else:
                told.error("side_effect_lease_lost", result=result)

    async def _put_off(
        self, delivery: Delivery, error: str, in_doubt: bool, at_least_s: float
    ) -> None:
        wait_s = max(self._pace.retry_in_s(delivery.attempt, self._rng), at_least_s)
        due_at = min(self._clock() + wait_s, delivery.deadline_at)
        await self._outbox.put_off(delivery, self._owner, due_at, error, in_doubt)
