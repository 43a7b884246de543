"""The statements of calls, built once: building one costs as much as running it.

It also leaves objects that hold each other, which stay until the collector comes round.
Parameters of conditions begin with ``at_``; the others are columns.
"""

from __future__ import annotations

from sqlalchemy import (
    BindParameter,
    Float,
    Integer,
    LargeBinary,
    bindparam,
    func,
    insert,
    select,
    update,
)

from bridge.store.tables import calls, decisions, hops, outbox, reports, tokens

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

KNOWN_CALLS = select(calls.c.call_sid).where(
    calls.c.call_sid.in_(bindparam("at_call_sids", expanding=True))
)

_NOW: BindParameter[float] = bindparam("at_now", type_=Float)
_PENDING = outbox.c.state == "pending"
DUE_EFFECT = select(outbox.c.id).where(_PENDING, outbox.c.due_at <= _NOW).limit(1)
CLAIM = (
    select(outbox)
    .where(
        _PENDING,
        outbox.c.due_at <= _NOW,
        outbox.c.deadline_at > _NOW,
        outbox.c.kind.in_(bindparam("at_kinds", expanding=True)),
    )
    .order_by(outbox.c.due_at, outbox.c.id)
    .limit(bindparam("at_most", type_=Integer))
    .with_for_update(skip_locked=True)
)
LEASE = (
    update(outbox)
    .where(outbox.c.id.in_(bindparam("at_ids", expanding=True)))
    .values(
        attempts=outbox.c.attempts + 1,
        in_doubt=True,
        lease_owner=bindparam("lease_owner"),
        due_at=bindparam("due_at"),
    )
)
BURY_OVERDUE = (
    update(outbox)
    .where(_PENDING, outbox.c.deadline_at <= _NOW, outbox.c.due_at <= _NOW)
    .values(state="dead", finished_at=_NOW, error=func.coalesce(outbox.c.error, "deadline"))
)
_LEASED = update(outbox).where(
    outbox.c.id == bindparam("at_id"),
    outbox.c.lease_owner == bindparam("at_owner"),
    outbox.c.attempts == bindparam("at_attempt"),
    _PENDING,
)
"""Only while the lease is the owner's: another attempt may have begun since."""
FINISH = _LEASED.values(
    {name: bindparam(name) for name in ("state", "in_doubt", "finished_at", "result", "error")}
    | {"lease_owner": None}
)
PUT_OFF = _LEASED.values(
    {name: bindparam(name) for name in ("due_at", "in_doubt", "error")} | {"lease_owner": None}
)
