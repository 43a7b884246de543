"""``POST /voice``: a call came in. To the AI, or at once to today's flow."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from bridge.config import Settings
from bridge.store.ledger import CallOpening, Ledger
from bridge.web.documents import StreamUrls, connect_stream
from bridge.web.signatures import MEDIA_PATH
from bridge.web.switchboard import Switchboard
from bridge.web.today import Origins, TodaysFlow
from bridge.web.webhook import Webhook

log = structlog.get_logger("bridge.web")


class Voice:
    """``clock`` gives Unix seconds, ``tenant_of`` the tenant of a called number if it has one."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        switchboard: Switchboard,
        clock: Callable[[], float],
        tenant_of: Callable[[str], str | None],
    ) -> None:
        self._limits = settings.limits
        self._origin = settings.web.origin
        self._today = TodaysFlow(settings)
        self._ledger = ledger
        self._switchboard = switchboard
        self._clock = clock
        self._tenant_of = tenant_of

    async def answer(self, webhook: Webhook) -> str:
        """The TwiML of the call."""
        origins = self._today.origins(webhook.account_sid, webhook.flow_sid)
        tenant = self._tenant_of(webhook.field("To"))
        reasons = self._closed(tenant)
        if tenant is None or reasons:
            return self._pass_on(webhook, origins, reasons)
        now = self._clock()
        opening = await self._ledger.open_call(
            CallOpening(
                call_sid=webhook.call_sid,
                account_sid=webhook.account_sid,
                tenant=tenant,
                from_number=webhook.field("From"),
                to_number=webhook.field("To"),
                entry=origins.entry,
                started_at=now,
                flow_sid=origins.flow_sid,
                parameters=webhook.passed_on,
            ),
            webhook.idempotency_key,
        )
        if opening.hop >= self._limits.max_hops:
            return self._pass_on(webhook, origins, ["hop_limit"])
        token = await self._ledger.mint_token(opening.call_sid, self._limits.stream_token_ttl_s)
        if opening.started_at == now:  # not a repeated webhook, whose caller is expected already
            self._switchboard.expect_call(tenant)
        log.info("call_taken", call_sid=opening.call_sid, entry=opening.entry, hop=opening.hop)
        return self._connect(token, origins)

    def _closed(self, tenant: str | None) -> list[str]:
        reasons = self._switchboard.not_ready()
        return reasons if tenant is not None else [*reasons, "called_number_unknown"]

    def _pass_on(self, webhook: Webhook, origins: Origins, reasons: list[str]) -> str:
        log.info("call_passed_on", call_sid=webhook.call_sid, reasons=reasons)
        return self._today.twiml(origins, reasons[0])

    def _connect(self, token: str, origins: Origins) -> str:
        urls = StreamUrls(
            media=self._origin.socket_url(MEDIA_PATH),
            after=self._origin.url(f"/after/{token}"),
            status=self._origin.url("/status"),
        )
        return connect_stream(urls, token, self._today.url(origins, "stream_failed"))
