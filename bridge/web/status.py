"""``POST /status``: what Twilio reports of calls and streams."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from bridge.store.ledger import CallEnd, Ledger
from bridge.web.after import FINAL_STATUSES
from bridge.web.records import Records
from bridge.web.webhook import Webhook

log = structlog.get_logger("bridge.web")

STREAM_EVENTS = frozenset({"stream-started", "stream-stopped", "stream-error"})


class Status:
    """``clock`` gives Unix seconds."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float], records: Records) -> None:
        self._ledger = ledger
        self._clock = clock
        self._records = records

    async def take(self, webhook: Webhook) -> None:
        event = webhook.field("StreamEvent")
        if event:
            await self._stream(webhook, event)
            return
        status = webhook.field("CallStatus")
        if status not in FINAL_STATUSES:
            return
        duration = webhook.field("CallDuration", limit=9)
        end = CallEnd(
            call_sid=webhook.call_sid,
            status=status,
            ended_at=self._clock(),
            duration_s=int(duration) if duration.isascii() and duration.isdigit() else None,
        )
        if await self._ledger.close_call(end):
            log.info("call_ended", call_sid=end.call_sid, status=status, duration_s=end.duration_s)

    async def _stream(self, webhook: Webhook, event: str) -> None:
        if event not in STREAM_EVENTS:
            event = "stream-unknown"
        error = webhook.field("StreamError")
        level = log.warning if event == "stream-error" else log.info
        level(
            event.replace("-", "_"),
            call_sid=webhook.call_sid,
            stream_sid=webhook.field("StreamSid", limit=34),
            error=error or None,
        )
        opening = await self._ledger.opening(webhook.call_sid)
        if opening is not None:
            told = {"error": error} if error else {}
            self._records.reported(opening, "stream", event.removeprefix("stream-"), told)
