"""``POST /voice``: a call came in. To the AI, or at once to today's flow."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TypeAlias

import structlog

from bridge.config import Settings
from bridge.store.ledger import CallOpening, Ledger
from bridge.studio_flow import naming
from bridge.traffic.desk import Ruling
from bridge.traffic.rollout import Arrival
from bridge.web.documents import StreamUrls, connect_stream
from bridge.web.records import Records
from bridge.web.signatures import MEDIA_PATH
from bridge.web.switchboard import Switchboard
from bridge.web.today import Origins, TodaysFlow
from bridge.web.webhook import Webhook

log = structlog.get_logger("bridge.web")

Rule: TypeAlias = Callable[[Arrival, str | None], Ruling]
"""Which side a call is on, given why this process can take none, if so. Does not wait."""


def everybody(tenant_of: Callable[[str], str | None]) -> Rule:
    """Every call of a known number is the AI's."""

    def rule(arrival: Arrival, unready: str | None) -> Ruling:
        tenant = tenant_of(arrival.called)
        if tenant is None:
            return Ruling("", "today", "called_number_unknown")
        return (
            Ruling(tenant, "ai", "share") if unready is None else Ruling(tenant, "today", unready)
        )

    return rule


class Voice:
    """``clock`` gives Unix seconds."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        switchboard: Switchboard,
        clock: Callable[[], float],
        rule: Rule,
        records: Records,
    ) -> None:
        self._limits = settings.limits
        self._origin = settings.web.origin
        self._today = TodaysFlow(settings)
        self._ledger = ledger
        self._switchboard = switchboard
        self._clock = clock
        self._rule = rule
        self._records = records

    async def answer(self, webhook: Webhook) -> str:
        """The TwiML of the call."""
        origins = self._today.origins(webhook.account_sid, webhook.flow_sid)
        now = self._clock()
        ruling = self._ruling(webhook, now)
        opening = self._opening(webhook, origins, ruling, now)
        if ruling.side == "today":
            self._records.passed_on(opening, ruling.reason)
            return self._pass_on(opening, origins, ruling.reason)
        opening = await self._ledger.open_call(opening, webhook.idempotency_key)
        if opening.hop >= self._limits.max_hops:
            return self._pass_on(opening, origins, "hop_limit")
        token = await self._ledger.mint_token(opening.call_sid, self._limits.stream_token_ttl_s)
        if opening.started_at == now:  # not a repeated webhook, whose caller is expected already
            self._switchboard.expect_call(opening.tenant)
        log.info(
            "call_taken",
            call_sid=opening.call_sid,
            entry=opening.entry,
            hop=opening.hop,
            reason=ruling.reason,
        )
        return self._connect(token, origins)

    def _ruling(self, webhook: Webhook, now: float) -> Ruling:
        reasons = self._switchboard.not_ready()
        at = dt.datetime.fromtimestamp(now, dt.UTC)
        arrival = Arrival(webhook.call_sid, webhook.field("From"), webhook.field("To"), at)
        return self._rule(arrival, reasons[0] if reasons else None)

    def _opening(
        self, webhook: Webhook, origins: Origins, ruling: Ruling, now: float
    ) -> CallOpening:
        return CallOpening(
            call_sid=webhook.call_sid,
            account_sid=webhook.account_sid,
            tenant=ruling.tenant,
            from_number=webhook.field("From"),
            to_number=webhook.field("To"),
            entry=origins.entry,
            started_at=now,
            flow_sid=origins.flow_sid,
            parameters=webhook.passed_on,
            side_reason=ruling.reason,
        )

    def _pass_on(self, opening: CallOpening, origins: Origins, reason: str) -> str:
        log.info("call_passed_on", call_sid=opening.call_sid, tenant=opening.tenant, reason=reason)
        return self._today.twiml(origins, reason)

    def _connect(self, token: str, origins: Origins) -> str:
        urls = StreamUrls(
            media=self._origin.socket_url(MEDIA_PATH),
            after=self._origin.url(f"/after/{token}{naming(origins.flow_sid)}"),
            status=self._origin.url("/status"),
        )
        return connect_stream(urls, token, self._today.url(origins, "stream_failed"))
