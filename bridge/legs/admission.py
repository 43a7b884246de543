"""Who may talk: a stream's ``start`` held against what the voice webhook recorded.

``start`` itself is not signed. The token in it is single-use, expires, and is bound to the
CallSid of the signed webhook. Behind a static TwiML Bin there is no token; there the signed
upgrade and the account are what is trusted.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from bridge.call.state import Script
from bridge.call.triage import TriageDesk
from bridge.call.voice import CachedLine
from bridge.config import Settings
from bridge.legs.pool import ModelPool
from bridge.legs.runner import Admission, Call, Services
from bridge.lines import LineCache
from bridge.protocol import twilio_stream as tw
from bridge.store.ledger import CallOpening, Ledger, LedgerUnavailableError, Refusal
from bridge.studio_flow import flow_in
from bridge.tenants import Tenant, Tenants
from bridge.traffic.desk import Ruling
from bridge.traffic.rollout import Arrival
from dispatch.context import CallContext
from dispatch.instructions import call_facts

_log = structlog.get_logger("bridge.admission")

TOKEN_PARAMETER = "token"  # noqa: S105  a name, not a secret
LEDGER_WITHIN_S = 1.0
"""The caller hears nothing meanwhile, and asks ``/after`` behind it."""


class Admissions:
    """Turns a started stream into a call that may go on, or closes it with a reason."""

    def __init__(
        self,
        settings: Settings,
        tenants: Tenants,
        ledger: Ledger,
        lines: LineCache,
        pools: Mapping[str, ModelPool],
        unix_time: Callable[[], float] = time.time,
        *,
        services: Services,
    ) -> None:
        self._settings = settings
        self._tenants = tenants
        self._ledger = ledger
        self._lines = lines
        self._pools = pools
        self._unix_time = unix_time
        self._traffic = services.traffic
        self._passed_on = services.passed_on

    async def admit(self, call: Call) -> Admission | None:
        """None: refused, the stream is closed with a named reason and its call falls through."""
        try:
            async with asyncio.timeout(LEDGER_WITHIN_S):
                opening = await self._opening(call.start)
        except (TimeoutError, LedgerUnavailableError):
            opening = "ledger_unavailable"
        tenant = None if isinstance(opening, str) else self._tenants.named(opening.tenant)
        if isinstance(opening, str) or tenant is None:
            reason = opening if isinstance(opening, str) else "unknown_tenant"
            _log.warning("stream_refused", call_sid=call.start.call_sid, reason=reason)
            call.refuse(reason)
            return None
        return self._admission(opening, tenant)

    async def _opening(self, start: tw.Start) -> CallOpening | str:
        """The call as it was opened, or why this stream is not it."""
        account = self._settings.twilio.account_sid
        if account is not None and start.account_sid != account:
            return "account_mismatch"
        token = start.parameters.get(TOKEN_PARAMETER)
        if token is not None:
            found = await self._ledger.redeem_token(token, start.call_sid, start.account_sid)
            return found.reason if isinstance(found, Refusal) else found
        known = await self._ledger.opening(start.call_sid)
        if known is not None and known.entry != "bin" and not self._insecure:
            return "token_missing"
        opening = self._bin_opening(start)
        ruling = self._ruling(opening)
        if ruling is not None and ruling.side == "today":
            if self._passed_on is not None:
                self._passed_on(opening, ruling.reason)
            return ruling.reason
        reason = None if ruling is None else ruling.reason
        opened = await self._ledger.open_call(replace(opening, side_reason=reason))
        # Without a webhook of ours nobody has counted how often this call came.
        too_often = opened.hop >= self._settings.limits.max_hops
        return "hop_limit" if too_often else opened

    def _ruling(self, opening: CallOpening) -> Ruling | None:
        """No webhook of ours has decided about a call from a static TwiML Bin."""
        if self._traffic is None:
            return None
        at = dt.datetime.fromtimestamp(opening.started_at, dt.UTC)
        return self._traffic.rule(
            Arrival(opening.call_sid, opening.from_number, opening.to_number, at)
        )

    @property
    def _insecure(self) -> bool:
        return self._settings.web.insecure_local

    def _bin_opening(self, start: tw.Start) -> CallOpening:
        """A call from a TwiML Bin: who called whom is in the stream's parameters, if anywhere."""
        called = start.parameters.get("to", "")
        tenant = self._tenants.for_number(called)
        return CallOpening(
            call_sid=start.call_sid,
            account_sid=start.account_sid,
            tenant=tenant.name if tenant is not None else "",
            from_number=start.parameters.get("from", ""),
            to_number=called,
            entry="bin",
            started_at=self._unix_time(),
            flow_sid=flow_in(start.parameters),
            parameters=passed_through(start.parameters),
        )

    def _admission(self, opening: CallOpening, tenant: Tenant) -> Admission:
        context = context_of(opening, tenant)
        today = context.started_at.astimezone(tenant.policy.zone).date()
        brief = call_facts(context, tenant.policy, today)
        return Admission(
            opening=opening,
            tenant=tenant,
            desk=TriageDesk(tenant.policy, tenant.matcher, context, today),
            script=self._script(tenant, context.language, brief),
            limits=tenant.limits,
            vad_silence_ms=tenant.vad_silence_ms,
            pool=self._pools[tenant.name],
        )

    def _script(self, tenant: Tenant, language: str | None, brief: str) -> Script:
        def cached(name: str) -> CachedLine | None:
            text = tenant.line(name, language)
            return self._lines.get(tenant.session.voice, tenant.session.model, text)

        return Script(
            greeting=tenant.line("greeting", language),
            greeting_line=cached("greeting"),
            apology_line=cached("apology"),
            hold_line=cached("hold"),
            closing_line=cached("closing"),
            goodbye_line=cached("goodbye"),
            server_interrupts=tenant.session.vad.interrupt_response,
            server_answers=tenant.session.vad.create_response,
            brief=brief,
        )


def context_of(opening: CallOpening, tenant: Tenant) -> CallContext:
    """What ``dispatch`` needs to know of the call."""
    return CallContext(
        call_sid=opening.call_sid,
        account_sid=opening.account_sid,
        tenant=tenant.name,
        from_number=opening.from_number,
        to_number=opening.to_number,
        # A stream from a TwiML Bin that names a flow: the Bin stands in a widget of that flow.
        entry="studio" if opening.flow_sid else opening.entry,
        started_at=dt.datetime.fromtimestamp(opening.started_at, dt.UTC),
        studio_flow=opening.flow_sid,
        language=opening.parameters.get("ivr_language"),
        parameters=opening.parameters,
        hops=opening.hop,
    )


def passed_through(parameters: Mapping[str, str]) -> dict[str, str]:
    """What came from the menu before us and goes on untouched."""
    return {k: v for k, v in parameters.items() if k.startswith(("flex_", "ivr_"))}
