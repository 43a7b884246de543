"""``GET /context/{call_sid}?expires=...&sig=...``: the full record of a decided call, as JSON.

For a Studio HTTP Request or Run Function widget, which takes 64 kB and waits 10 s, and for whoever
else was handed the address. ``shape=handoff`` gives what Twilio's Agent Handoff template expects.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bridge.config import Settings
from bridge.context_links import ContextLinks
from bridge.store.ledger import Ledger, LedgerUnavailableError, StoredDecision
from dispatch import decision as decisions
from dispatch import envelope as envelopes
from dispatch.attributes import full_record, handoff_data

log = structlog.get_logger("bridge.web")

MAX_RECORD_BYTES = 60_000
"""Studio refuses more than 64 kB; headers and the reader's own overhead need a little."""
READ_WITHIN_S = 3.0
_CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}", re.ASCII)
_PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class ContextLookup:
    """``clock`` gives Unix seconds."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._links = context_links(settings)
        self._ledger = ledger
        self._clock = clock

    async def answer(self, request: Request) -> Response:
        call_sid = request.path_params["call_sid"]
        if not _CALL_SID.fullmatch(call_sid):
            return _refused(404, "call_unknown")
        query = request.query_params
        expires, signature = query.get("expires", ""), query.get("sig", "")
        fault = self._links.fault(call_sid, expires, signature, self._clock())
        if fault is not None:
            log.warning("context_refused", call_sid=call_sid, reason=fault)
            return _refused(410 if fault == "expired" else 403, fault)
        shape = query.get("shape", "record")
        if shape not in ("record", "handoff"):
            return _refused(400, "shape is neither 'record' nor 'handoff'")
        return await self._record(call_sid, shape)

    async def _record(self, call_sid: str, shape: str) -> Response:
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                stored = await self._decided(call_sid)
        except (TimeoutError, LedgerUnavailableError):
            return _refused(503, "record_unavailable")
        if stored is None:
            return _refused(404, "call_unknown")
        return JSONResponse(_shaped(stored, shape), headers=_PRIVATE)

    async def _decided(self, call_sid: str) -> StoredDecision | None:
        """Of the call's last passage that was decided by us."""
        opening = await self._ledger.opening(call_sid)
        if opening is None:
            return None
        for hop in range(opening.hop, -1, -1):
            stored = await self._ledger.decision(call_sid, hop)
            if stored is not None and stored.decision and stored.envelope:
                return stored
        return None


def context_links(settings: Settings) -> ContextLinks:
    return ContextLinks(
        settings.web.origin, settings.twilio.auth_tokens, settings.outward.context_ttl_s
    )


def _shaped(stored: StoredDecision, shape: str) -> Mapping[str, Any]:
    decision = decisions.from_json(orjson.dumps(stored.decision))
    envelope = envelopes.from_json(orjson.dumps(stored.envelope))
    if shape == "handoff":
        return handoff_data(decision, envelope)
    record = full_record(decision, envelope)
    left_out = 0
    while record["turns"] and len(orjson.dumps(record)) > MAX_RECORD_BYTES:
        # A tenth at a time: the size is measured a few times, not for each turn.
        oldest = max(1, len(record["turns"]) // 10)
        del record["turns"][:oldest]
        left_out += oldest
        record["turns_left_out"] = left_out
    return record


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status_code=status, headers=_PRIVATE)
