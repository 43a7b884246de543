"""The ledger's statements, built once: building one costs as much as running it.

Parameters of conditions begin with ``at_``; the others are columns.
"""

from __future__ import annotations

from sqlalchemy import BindParameter, Float, LargeBinary, bindparam, func, insert, select, update

from bridge.store.tables import calls, decisions, hops, reports, tokens

_SID: BindParameter[str] = bindparam("at_call_sid")
_HOP: BindParameter[int] = bindparam("at_hop")
_DIGEST: BindParameter[bytes] = bindparam("at_digest")
_THIS_HOP = (hops.c.call_sid == _SID) & (hops.c.hop == _HOP)
_HOP_OF_TOKEN = (tokens.c.call_sid == hops.c.call_sid) & (tokens.c.hop == hops.c.hop)

LAST_OPENING = (
    select(hops.c.opening).where(hops.c.call_sid == _SID).order_by(hops.c.hop.desc()).limit(1)
)
OPENING_OF_TOKEN = (
    select(hops.c.opening).join(tokens, _HOP_OF_TOKEN).where(tokens.c.digest == _DIGEST)
)

NEW_HOP = insert(hops)
TAKE_CALL = (
    update(calls)
    .where(calls.c.call_sid == _SID)
    .values(side="ai", side_reason=bindparam("side_reason"))
)
"""Also locks the call until the transaction ends: one hop opens at a time."""
HOPS = select(hops).where(hops.c.call_sid == _SID).order_by(hops.c.hop)
USE_HOP = update(hops).where(_THIS_HOP).values(used=True)
"""A repeated webhook opens the next one. Locks its row."""

NEW_TOKEN = insert(tokens).from_select(
    ["digest", "call_sid", "hop", "expires_at"],
    select(
        bindparam("digest", type_=LargeBinary),
        hops.c.call_sid,
        func.max(hops.c.hop),
        bindparam("expires_at", type_=Float),
    )
    .where(hops.c.call_sid == _SID)
    .group_by(hops.c.call_sid),
)
"""For the last hop, in one statement: every call that comes in waits for it."""
TOKEN = (
    select(tokens, hops.c.opening)
    .join(hops, _HOP_OF_TOKEN)
    .where(tokens.c.digest == _DIGEST)
    .with_for_update(of=tokens)
)
USE_TOKEN = update(tokens).where(tokens.c.digest == _DIGEST).values(used_at=bindparam("used_at"))

DECISION = select(decisions).where(decisions.c.call_sid == _SID, decisions.c.hop == _HOP)
LAST_DECISION = select(decisions).where(
    decisions.c.call_sid == _SID,
    decisions.c.hop
    == select(func.max(hops.c.hop)).where(hops.c.call_sid == _SID).scalar_subquery(),
)
SHOW_DECISION = (
    update(calls)
    .where(
        calls.c.call_sid == _SID,
        ~select(decisions.c.hop)
        .where(decisions.c.call_sid == _SID, decisions.c.hop > _HOP)
        .exists(),
    )
    .values({name: bindparam(name) for name in ("intent", "confidence", "route", "reason")})
)
"""In the list of calls, unless a later hop is shown there already."""

REPORTS = (
    select(reports)
    .where(reports.c.call_sid == _SID, reports.c.hop == _HOP)
    .order_by(reports.c.at, reports.c.key)
)
REPORT = select(reports).where(
    reports.c.call_sid == _SID, reports.c.hop == _HOP, reports.c.key == bindparam("at_key")
)

CLOSE_CALL = (
    update(calls)
    .where(calls.c.call_sid == _SID, calls.c.ended_at.is_(None))
    .values({name: bindparam(name) for name in ("ended_at", "end_status", "duration_s")})
)
