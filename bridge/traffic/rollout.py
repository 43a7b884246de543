"""Whether a call is the AI's or goes to today's flow, and how shares are moved. No clock, no store.

In this order, the first that applies: unknown called number, kill switch, block list, opening
hours, allow list, share.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bridge.errors import TriageBridgeError
from bridge.rollouts import WHOLE, Plan, Rollouts, RolloutState
from bridge.traffic.callers import caller_number
from bridge.traffic.split import Splitter
from dispatch.context import is_e164
from dispatch.policy import TenantPolicy
from dispatch.rollout import percent, tenths

Side: TypeAlias = Literal["ai", "today"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reason`` is a snake_case word, kept with the call."""

    side: Side
    reason: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call that came in. ``caller`` and ``called`` as Twilio sent them."""

    call_sid: str
    caller: str
    called: str
    at: dt.datetime
    """With a time zone."""


class RolloutError(TriageBridgeError):
    """What an operator asked for cannot be done; nothing was changed."""


def decide(
    arrival: Arrival, policy: TenantPolicy | None, rollouts: Rollouts, splitter: Splitter
) -> Verdict:
    """``policy`` is that of the called number's tenant, None where it has none."""
    if policy is None:
        return Verdict("today", "called_number_unknown")
    state = rollouts.of(policy.tenant)
    if state.killed or rollouts.all_killed:
        return Verdict("today", "kill_switch")
    rules, number = policy.rollout, caller_number(arrival.caller)
    if number is not None and number in rules.block:
        return Verdict("today", "caller_blocked")
    if rules.hours is not None and not rules.hours.are_open(arrival.at.astimezone(policy.zone)):
        return Verdict("today", "outside_hours")
    if number is not None and number in rules.allow:
        return Verdict("ai", "caller_allowed")
    share = share_of(state, plan_of(policy), arrival.called)
    if number is None:
        position = splitter.stranger(policy.tenant, arrival.called, arrival.call_sid)
    else:
        position = splitter.position(policy.tenant, arrival.called, number)
    return Verdict("ai", "share") if position < share else Verdict("today", "share")


def plan_of(policy: TenantPolicy) -> Plan:
    """What the tenant's file says."""
    rules = policy.rollout
    return Plan(
        tenths(rules.share),
        tuple(tenths(stage) for stage in rules.stages),
        {number: tenths(share) for number, share in rules.numbers.items()},
        policy.numbers,
    )


def share_of(state: RolloutState, plan: Plan, called: str) -> int:
    """What holds for a called number (or ``WHOLE``).

    A number's own share stands before the tenant's, and what an operator said before the file.
    """
    for shares in (state.shares, {} if WHOLE in state.shares else plan.numbers):
        if called in shares:
            return shares[called]
    return state.shares.get(WHOLE, plan.share)


def own_shares(state: RolloutState, plan: Plan) -> dict[str, int]:
    """Every share that holds: of called numbers that have one, and of the rest (``WHOLE``)."""
    numbers = {**state.shares} if WHOLE in state.shares else {**plan.numbers, **state.shares}
    return {WHOLE: plan.share, **numbers}


# --- moving shares ---------------------------------------------------------------------------


def with_share(state: RolloutState, plan: Plan, where: str, share: int) -> dict[str, int]:
    """The state's shares with that of ``where`` (a called number or ``WHOLE``) set."""
    if where not in (WHOLE, *plan.called):
        if WHOLE not in plan.called:
            numbers = ", ".join(plan.called)
            raise RolloutError(f"{where} is not a number of {state.tenant!r}; there are: {numbers}")
        if not is_e164(where):
            raise RolloutError(f"{where!r} is not a number in E.164 form such as +14155550100")
    return {**_spelled_out(state, plan), where: share}


def without_share(state: RolloutState, plan: Plan, where: str) -> dict[str, int]:
    """The same without what ``where`` had of its own: the tenant's share holds for it again."""
    shares = _spelled_out(state, plan)
    if where not in shares or where == WHOLE:
        raise RolloutError(f"{where} has no share of its own")
    return {number: share for number, share in shares.items() if number != where}


def _spelled_out(state: RolloutState, plan: Plan) -> dict[str, int]:
    """As soon as somebody changes anything, the file's shares are not looked at any more."""
    return dict(state.shares) if WHOLE in state.shares else own_shares(state, plan)


def next_stage(plan: Plan, share: int) -> int:
    """The first stage above a share."""
    above = [stage for stage in plan.stages if stage > share]
    if not above:
        raise RolloutError(f"{percent(share)} % is the last stage already")
    return above[0]


def stage_before(plan: Plan, share: int) -> int:
    """The last stage below a share; 0 below the first one."""
    if share == 0:
        raise RolloutError("the share is 0 % already")
    return max((stage for stage in plan.stages if stage < share), default=0)


def all_back(state: RolloutState, plan: Plan) -> dict[str, int]:
    """Every share one stage back; those at 0 stay."""
    shares = own_shares(state, plan)
    return {where: stage_before(plan, share) if share else 0 for where, share in shares.items()}


def all_to_zero(state: RolloutState, plan: Plan) -> Mapping[str, int]:
    return dict.fromkeys(own_shares(state, plan), 0)
