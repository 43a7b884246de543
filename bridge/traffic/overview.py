"""Rollouts as operators look at them: plain values for JSON and for tables, shares in percent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.rollouts import WHOLE, Change, Plan, Rollouts, RolloutState, known_tenants
from bridge.traffic.rollout import own_shares, share_of

Sides = Mapping[tuple[str, str, str], int]
"""Calls by called number, side and reason."""
AI_BY_SHARE = ("ai", "share")


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of the calls of a while, on one called number or on those without a share of
    their own (``WHOLE``)."""

    asked: int
    """The share now, in tenths of a percent."""
    calls: int
    ai: int
    reasons: Mapping[str, int]
    """Why the others, and why the AI where it was not for the share."""

    @property
    def percent(self) -> float | None:
        """None where nobody called."""
        return None if not self.calls else round(self.ai * 100 / self.calls, 1)


def rollout_facts(rollouts: Rollouts) -> dict[str, Any]:
    return {
        "all_killed": rollouts.all_killed,
        "tenants": [
            tenant_facts(rollouts.of(tenant), rollouts.plans.get(tenant))
            for tenant in known_tenants(rollouts)
        ],
    }


def tenant_facts(state: RolloutState, plan: Plan | None) -> dict[str, Any]:
    """With the shares that hold, those of the triage file included. ``plan``: None while nobody
    serves the tenant."""
    facts = state_facts(state)
    if plan is not None:
        facts["shares"] = _percents(own_shares(state, plan))
        facts["stages"] = [stage / 10 for stage in plan.stages]
    return facts


def state_facts(state: RolloutState) -> dict[str, Any]:
    return {
        "tenant": state.tenant,
        "version": state.version,
        "killed": state.killed,
        "shares": _percents(state.shares),
        "changed_at": state.changed_at or None,
    }


def change_facts(change: Change) -> dict[str, Any]:
    before, after = state_facts(change.before), state_facts(change.after)
    return {
        "tenant": change.tenant,
        "version": change.after.version,
        "at": change.after.changed_at,
        "action": change.action,
        "who": change.who,
        "why": change.why,
        "before": {name: before[name] for name in ("killed", "shares")},
        "after": {name: after[name] for name in ("killed", "shares")},
    }


def _percents(shares: Mapping[str, int]) -> dict[str, float]:
    return {where: share / 10 for where, share in sorted(shares.items())}


def taken(state: RolloutState, plan: Plan, sides: Sides) -> dict[str, Taken]:
    """The share asked for beside the share of calls that the AI took: of each called number that
    has a share of its own, and of the rest."""
    own = own_shares(state, plan).keys() - {WHOLE}
    rest = {key: count for key, count in sides.items() if key[0] not in own}
    found = {WHOLE: _taken(share_of(state, plan, WHOLE), rest)}
    for number in sorted(own):
        here = {key: count for key, count in sides.items() if key[0] == number}
        found[number] = _taken(share_of(state, plan, number), here)
    return found


def _taken(asked: int, sides: Sides) -> Taken:
    reasons: Counter[str] = Counter()
    ai = 0
    for (_, side, reason), count in sides.items():
        ai += count if side == "ai" else 0
        if (side, reason) != AI_BY_SHARE:
            reasons[f"{side}: {reason}" if reason else side] += count
    return Taken(asked, sum(sides.values()), ai, dict(reasons.most_common()))
