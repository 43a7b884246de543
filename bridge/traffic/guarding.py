"""The guard of one process: tells the store what was seen, and steps back where all saw too much.

All processes judge the same sums, and may judge at the same time: a change is made by whoever is
first, the others find that it was made. Nothing here ever raises a share.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable

import structlog

from bridge.errors import TriageBridgeError
from bridge.rollouts import Change, RolloutConflictError, Rollouts, RolloutState, RolloutStore
from bridge.rollouts import changed as changed_state
from bridge.traffic.guard import Breach, Tallies, judge
from bridge.traffic.rollout import all_back, all_to_zero, own_shares, plan_of
from bridge.traffic.watcher import RolloutWatcher
from dispatch.policy import TenantPolicy

log = structlog.get_logger("bridge.guard")

FLUSH_S = 1.0
JUDGE_EVERY = 3
"""Flushes."""

Page = Callable[[TenantPolicy, str], Awaitable[None]]
"""Tell the operator. Must not raise."""


async def no_page(_policy: TenantPolicy, _text: str) -> None:
    """For installations that page nobody."""


class RolloutGuard:
    """``policies`` gives the tenants as they are now, ``clock`` Unix seconds; ``process`` names
    this process among all."""

    def __init__(
        self,
        watcher: RolloutWatcher,
        store: RolloutStore,
        tallies: Tallies,
        policies: Callable[[], Iterable[TenantPolicy]],
        *,
        process: str,
        clock: Callable[[], float],
        page: Page = no_page,
    ) -> None:
        self._watcher = watcher
        self._store = store
        self._tallies = tallies
        self._policies = policies
        self._process = process
        self._clock = clock
        self._page = page
        self._stopping = asyncio.Event()
        self.steps_back = 0
        """How often this process stepped a rollout back."""

    async def run(self) -> None:
        """Until ``stop``; what was seen by then is told."""
        rounds = 0
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._stopping.wait()
            rounds += 1
            try:
                await self.flush()
                if rounds % JUDGE_EVERY == 0:
                    await self.look()
            except (TriageBridgeError, TimeoutError):
                pass  # told by the watcher
            except Exception as error:  # calls in progress are not to end with it
                log.error("chore_failed", chore="guard", error=type(error).__name__)

    def stop(self) -> None:
        self._stopping.set()

    async def flush(self) -> None:
        """Tell the store. What could not be told is kept for the next time."""
        tallies = self._tallies.take()
        if not tallies:
            return
        try:
            await self._store.count(self._process, self._clock(), tallies)
        except BaseException:
            self._tallies.give_back(tallies)
            raise

    async def look(self) -> None:
        """Judge what all processes saw, tenant by tenant."""
        rollouts = self._watcher.current
        if rollouts is None:
            return
        watched = {
            policy.tenant: policy
            for policy in self._policies()
            if policy.guard.enabled and _is_live(policy, rollouts)
        }
        since = {
            # What is told within a second of a change was seen before it.
            tenant: max(
                self._clock() - policy.guard.window_s, rollouts.of(tenant).changed_at + FLUSH_S
            )
            for tenant, policy in watched.items()
        }
        sums = await self._store.counted(since)
        for tenant, policy in watched.items():
            breach = judge(sums[tenant], policy.guard)
            if breach is not None:
                await self._step_back(policy, rollouts.of(tenant), breach)

    async def _step_back(self, policy: TenantPolicy, before: RolloutState, breach: Breach) -> None:
        move = all_to_zero if breach.severe else all_back
        after = changed_state(before, self._clock(), shares=move(before, plan_of(policy)))
        who = f"guard on {self._process}"
        try:
            await self._store.change(Change(before, after, "guard", who, breach.reason))
        except RolloutConflictError:
            return  # another process, or an operator, was first: what they did is judged anew
        finally:
            await self._watcher.refresh()
        self.steps_back += 1
        log.error(
            "rollout_stepped_back",
            tenant=policy.tenant,
            severe=breach.severe,
            reason=breach.reason,
            shares=sorted(after.shares.values()),
        )
        step = "to zero" if breach.severe else "one stage back"
        await self._page(policy, f"rollout of {policy.tenant} went {step}: {breach.reason}")


def _is_live(policy: TenantPolicy, rollouts: Rollouts) -> bool:
    """Whether there is anything to step back from."""
    state = rollouts.of(policy.tenant)
    killed = state.killed or rollouts.all_killed
    return not killed and any(own_shares(state, plan_of(policy)).values())
