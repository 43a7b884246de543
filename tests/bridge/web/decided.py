"""Calls that were decided, as the ledger holds them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import orjson

from bridge.callbacks import callback_urls
from bridge.origin import Origin
from bridge.store.ledger import CallOpening, Ledger, StoredDecision
from dispatch import decision as decisions
from dispatch import envelope as envelopes
from dispatch.chain import NamedRoute
from dispatch.context import CallContext, Turn
from dispatch.decision import Decision
from dispatch.envelope import Envelope, seal
from dispatch.outcome import RouteRequested
from dispatch.policy import TenantPolicy
from dispatch.triagefile import load
from dispatch.twiml import render
from tests.bridge.web.conftest import ACCOUNT, CALL, FLOW, NOW, PUBLIC

EXAMPLE = Path(__file__).parents[3] / "examples" / "acme-plumbing.toml"
POLICY = load(EXAMPLE).policy
URLS = callback_urls(Origin.parse(PUBLIC), CALL, 0, flow_sid=FLOW)


def opening(hop: int = 0) -> CallOpening:
    return CallOpening(
        call_sid=CALL,
        account_sid=ACCOUNT,
        tenant="acme",
        from_number="+14155550142",
        to_number="+14155550100",
        entry="studio",
        started_at=NOW,
        flow_sid=FLOW,
        hop=hop,
    )


def context(turns: int = 1) -> CallContext:
    return CallContext(
        call_sid=CALL,
        account_sid=ACCOUNT,
        tenant="acme",
        from_number="+14155550142",
        to_number="+14155550100",
        entry="studio",
        started_at=dt.datetime.fromtimestamp(NOW, dt.UTC),
        studio_flow=FLOW,
        turns=(Turn("caller", "My basement is flooding."),) * turns,
    )


def decision(*chain: str, policy: TenantPolicy = POLICY) -> Decision:
    """To the first route; the others when it fails."""
    named = [NamedRoute(name, policy.routes[name]) for name in chain]
    after = {"page_owner": NamedRoute("message", policy.routes["message"])}
    return Decision(
        named[0], "emergency", "trigger", 1, on_failure=tuple(named[1:]), after_pages=after
    )


def envelope(made: Decision, turns: int = 1) -> Envelope:
    outcome = RouteRequested(
        "emergency", "Basement is flooding.", 0.97, slots={"callback": "+14155550177"}
    )
    moment = dt.datetime.fromtimestamp(NOW, dt.UTC)
    return seal(
        made, outcome, context(turns), POLICY, reference="TR-20231114-0001", decided_at=moment
    )


def stored(made: Decision, turns: int = 1, hop: int = 0) -> StoredDecision:
    sealed = envelope(made, turns)
    return StoredDecision(
        call_sid=CALL,
        hop=hop,
        route=made.route.kind,
        intent=made.intent,
        reason=made.reason,
        twiml=render(made, sealed, URLS),
        decided_at=NOW,
        decision=as_json(decisions.to_json(made)),
        envelope=as_json(envelopes.to_json(sealed)),
    )


def as_json(text: str) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(text)
    return value


async def keep(ledger: Ledger, *chain: str, turns: int = 1) -> None:
    """A decided call in the ledger."""
    await ledger.open_call(opening())
    await ledger.record_decision(stored(decision(*chain), turns))
