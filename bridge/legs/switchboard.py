"""Every call of this process: sockets that come in, calls that run, model sessions kept ready."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import structlog
from picows import (
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

from bridge.config import Settings
from bridge.errors import RemoteProtocolError
from bridge.legs.admission import Admissions
from bridge.legs.caller_leg import CallerLeg, CallerSide
from bridge.legs.line_maker import WantedLine, make_lines
from bridge.legs.model_leg import ModelEndpoint
from bridge.legs.pool import ModelPool
from bridge.legs.runner import Call, Services
from bridge.legs.sockets import upgrade_factory
from bridge.lines import LineCache
from bridge.protocol import twilio_stream as tw
from bridge.protocol.realtime import UNUSED_EVENTS
from bridge.protocol.unhandled import UnhandledCounter
from bridge.store.ledger import Ledger
from bridge.tenants import Tenant, Tenants

_log = structlog.get_logger("bridge.switchboard")

MEDIA_PATH = "/media"
START_WITHIN_S = 5.0
"""An accepted socket must send ``start`` by then."""

Authorise = Callable[[str, Mapping[str, str]], str | None]
"""Path and lower-cased headers of an upgrade request; None, or why it is refused."""


class Switchboard:
    """``start`` once, ``drain`` and ``close`` at the end. One instance a process."""

    def __init__(
        self,
        settings: Settings,
        tenants: Tenants,
        ledger: Ledger,
        authorise: Authorise,
        services: Services,
    ) -> None:
        self._settings = settings
        self._authorise = authorise
        self._services = services
        self._traffic = services.traffic
        self._unhandled = UnhandledCounter(UNUSED_EVENTS)
        self._pools: dict[str, ModelPool] = {}
        self._pooled: dict[str, Tenant] = {}
        self._tenants = tenants
        self._lines = LineCache(settings.greeting.cache_folder)
        self._admissions = Admissions(
            settings, tenants, ledger, self._lines, self._pools, services=services
        )
        self._waiting: dict[CallerLeg, asyncio.TimerHandle] = {}
        self._calls: dict[Call, asyncio.Task[None]] = {}
        self._draining = False
        self._line_maker: asyncio.Task[None] | None = None
        self.ws_protocol = upgrade_factory(self._accept)

    # --- life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Make model sessions ready. Does not wait for them: the first call may come at once."""
        self._begin_pools()
        self._begin_lines()

    async def renew(self) -> None:
        """The tenants changed: what is kept ready follows. Calls in progress notice nothing."""
        gone = self._begin_pools()
        if self._line_maker is not None:
            self._line_maker.cancel()
            await asyncio.gather(self._line_maker, return_exceptions=True)
        self._begin_lines()
        await asyncio.gather(*(pool.close() for pool in gone))

    def _begin_pools(self) -> list[ModelPool]:
        """A pool for each tenant as it is now; the ones that no tenant needs any more."""
        loop = asyncio.get_running_loop()
        before, self._pooled = self._pooled, {one.name: one for one in self._tenants.all}
        gone = []
        for name, tenant in before.items():
            now = self._pooled.get(name)
            if now is None or (now.session, now.pool) != (tenant.session, tenant.pool):
                gone.append(self._pools.pop(name))
        for name, tenant in self._pooled.items():
            if name not in self._pools:
                pool = ModelPool(self._endpoint(tenant), tenant.pool, self._unhandled, loop.time)
                self._pools[name] = pool
                pool.start()
        return gone

    def _begin_lines(self) -> None:
        if self._settings.greeting.make_lines:
            self._line_maker = asyncio.create_task(self._make_lines(), name="line-maker")

    async def _make_lines(self) -> None:
        """What is said from the cache, made once; calls that come before it do without."""
        wanted = [
            WantedLine(self._endpoint(tenant), text)
            for tenant in self._tenants.all
            for text in tenant.fixed_lines()
        ]
        await make_lines(wanted, self._lines, self._unhandled)

    def _endpoint(self, tenant: Tenant) -> ModelEndpoint:
        openai = self._settings.openai
        key = openai.api_key.get_secret_value() if openai.api_key is not None else ""
        watch = None if self._traffic is None else self._traffic.watch(tenant.name)
        return ModelEndpoint(openai.url, key, tenant.session, watch=watch)

    def expect_call(self, tenant: str) -> None:
        """A voice webhook was answered: its stream will be here in a moment."""
        pool = self._pools.get(tenant)
        if pool is not None:
            pool.expect_call()

    @property
    def live_calls(self) -> int:
        return len(self._calls)

    @property
    def goes_on(self) -> bool:
        """There are calls, or sockets about to be one, and nobody has begun to end them."""
        return not self._draining and bool(self._calls or self._waiting)

    @property
    def warm_sessions(self) -> int:
        """Model sessions that wait for a call, of all tenants together."""
        return sum(pool.ready for pool in self._pools.values())

    def not_ready(self) -> list[str]:
        """Why no further call should be taken; empty: ready."""
        reasons = []
        if self._draining:
            reasons.append("draining")
        if self.live_calls >= self._settings.limits.max_calls:
            reasons.append("at_capacity")
        return reasons

    async def drain(self, grace_s: float, *, refuse: bool = True) -> None:
        """Let calls end, hand over what is left after ``grace_s``.

        With ``refuse`` no further call is taken from now on; without, those that still reach this
        process are: then nobody new may be sent here.
        """
        self._draining = refuse
        if not self._calls and not self._waiting:
            return
        _log.info("draining", calls=self.live_calls, grace_s=grace_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._until_no_call()
        self._draining = True
        for call in list(self._calls):
            call.hand_over("shutdown")
        if self._calls:
            await asyncio.wait(list(self._calls.values()), timeout=HANDOVER_WITHIN_S)

    async def _until_no_call(self) -> None:
        while self._calls or self._waiting:
            if self._calls:
                await asyncio.wait(list(self._calls.values()))
            else:  # a socket that has not started becomes a call or is given up in START_WITHIN_S
                await asyncio.sleep(WAITING_LOOK_S)

    async def close(self) -> None:
        """Stop everything at once; nothing of any call is left when this returns."""
        self._draining = True
        waiting = list(self._waiting)
        for leg in waiting:
            leg.close("shutdown")
        tasks = list(self._calls.values())
        if self._line_maker is not None:
            tasks.append(self._line_maker)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
        await asyncio.gather(*(leg.wait_closed() for leg in waiting))

    # --- sockets that come in --------------------------------------------------------------------

    def _accept(
        self, request: WSUpgradeRequest
    ) -> WSListener | WSUpgradeResponseWithListener | None:
        path = request.path.decode("latin-1")
        if path.partition("?")[0] not in (MEDIA_PATH, f"{MEDIA_PATH}/"):
            return None
        refused = self._refusal(path, {k.lower(): v for k, v in request.headers.items()})
        if refused is not None:
            status, reason = refused
            _log.warning("upgrade_refused", reason=reason)
            response = WSUpgradeResponse.create_error_response(status, reason.encode())
            return WSUpgradeResponseWithListener(response, None)
        return CallerLeg(self._opened, self._started, self._fault, self._unhandled, self._gone)

    def _refusal(self, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        reason = self._authorise(path, headers)
        if reason is not None:
            return 403, reason
        busy = self.not_ready()
        if self.live_calls + len(self._waiting) >= self._settings.limits.max_calls:
            busy.append("too_many_waiting")
        return (503, busy[0]) if busy else None

    def _opened(self, leg: CallerLeg) -> None:
        loop = asyncio.get_running_loop()
        self._waiting[leg] = loop.call_later(START_WITHIN_S, self._never_started, leg)

    def _never_started(self, leg: CallerLeg) -> None:
        _log.warning("stream_refused", reason="start_timeout")
        leg.close("start_timeout")

    def _started(self, leg: CallerLeg, start: tw.Start) -> CallerSide:
        self._forget_waiting(leg)
        call = Call(leg, start, self._services)
        task = asyncio.create_task(call.run(self._admissions.admit), name="call")
        self._calls[call] = task
        task.add_done_callback(lambda done: self._ended(call, done))
        return call

    def _ended(self, call: Call, task: asyncio.Task[None]) -> None:
        self._calls.pop(call, None)
        if not task.cancelled() and task.exception() is not None:
            call.log.error("call_failed", error=repr(task.exception())[:300])

    def _fault(self, leg: CallerLeg, error: RemoteProtocolError) -> None:
        _log.warning("stream_refused", reason=error.reason, detail=str(error)[:200])

    def _gone(self, leg: CallerLeg) -> None:
        self._forget_waiting(leg)

    def _forget_waiting(self, leg: CallerLeg) -> None:
        timer = self._waiting.pop(leg, None)
        if timer is not None:
            timer.cancel()


WAITING_LOOK_S = 0.05
HANDOVER_WITHIN_S = 10.0
"""Calls that are handed over at a shutdown have so long for their last words and the ledger."""
