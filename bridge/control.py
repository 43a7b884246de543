"""Rollout, guard and admission of one serving process: put together, run and stopped."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from bridge.config import Settings
from bridge.errors import TriageBridgeError
from bridge.rollouts import RolloutStore
from bridge.tenants import Tenants
from bridge.traffic.admission import Admitter
from bridge.traffic.desk import TrafficDesk
from bridge.traffic.guard import Tallies
from bridge.traffic.guarding import Page, RolloutGuard, no_page
from bridge.traffic.lock import locked
from bridge.traffic.rollout import plan_of
from bridge.traffic.split import Splitter
from bridge.traffic.watcher import RolloutWatcher
from dispatch.policy import TenantPolicy

log = structlog.get_logger("bridge.control")

PUBLISH_AGAIN_S = 5.0


class TenantPolicies:
    """The tenants' files as they are now."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants

    def of_number(self, called: str) -> TenantPolicy | None:
        tenant = self._tenants.for_number(called)
        return None if tenant is None else tenant.policy

    def named(self, tenant: str) -> TenantPolicy | None:
        known = self._tenants.named(tenant)
        return None if known is None else known.policy

    def all(self) -> list[TenantPolicy]:
        return [tenant.policy for tenant in self._tenants.all]


class TrafficControl:
    """``start`` before the first call, ``run`` until ``stop``. ``process`` names this one."""

    def __init__(
        self,
        settings: Settings,
        tenants: Tenants,
        store: RolloutStore,
        *,
        process: str,
        page: Page = no_page,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policies = TenantPolicies(tenants)
        self.store = store
        token = settings.traffic.admin_token
        self._lock = "" if token is None else locked(token.get_secret_value())
        self._admitter = Admitter(
            settings.traffic, settings.limits.max_calls, pooled=settings.pool.size > 0
        )
        self._watcher = RolloutWatcher(store)
        tallies = Tallies()
        self.desk = TrafficDesk(
            self._policies,
            self._watcher,
            self._admitter,
            Splitter(settings.traffic.key),
            tallies,
            clock,
        )
        self.guard = RolloutGuard(
            self._watcher,
            store,
            tallies,
            self._policies.all,
            process=process,
            clock=time.time,
            page=page,
        )
        self._unpublished = asyncio.Event()
        self._unpublished.set()

    async def start(self) -> None:
        """Know the state of the rollouts before anybody calls; without it calls go to today's flow
        until it is known."""
        await self._watcher.refresh()

    async def refresh(self) -> None:
        """Look at the store now, for whoever just changed something."""
        await self._watcher.refresh()

    def renew(self) -> None:
        """The tenants changed."""
        self._unpublished.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            delay = tasks.create_task(self._admitter.loop_delay.run(), name="loop-delay")
            publishing = tasks.create_task(self._publish(), name="rollout-plans")
            tasks.create_task(self._watcher.run(), name="rollout-watcher")
            await self.guard.run()
            delay.cancel()
            publishing.cancel()

    def stop(self) -> None:
        self.guard.stop()
        self._watcher.stop()

    async def _publish(self) -> None:
        """Operators on any machine see which tenants there are, and their stages."""
        while True:
            await self._unpublished.wait()
            try:
                plans = {
                    policy.tenant: replace(plan_of(policy), lock=self._lock)
                    for policy in self._policies.all()
                }
                await self.store.publish(plans)
                self._unpublished.clear()
            except TriageBridgeError:  # the log knows it from the database
                await self._publish_later()
            except Exception as error:  # calls in progress are not to end with it
                log.error("chore_failed", chore="rollout-plans", error=type(error).__name__)
                await self._publish_later()

    async def _publish_later(self) -> None:
        """Spread out: all processes of a machine meet the same trouble."""
        await asyncio.sleep(PUBLISH_AGAIN_S * (1 + random.random()))  # noqa: S311
