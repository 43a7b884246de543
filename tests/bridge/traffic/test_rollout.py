"""Which side a call is on, why, and what moving the share does to it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rollouts import WHOLE, Plan, Rollouts, RolloutState
from bridge.traffic.rollout import (
    Arrival,
    RolloutError,
    Verdict,
    all_back,
    all_to_zero,
    decide,
    next_stage,
    own_shares,
    plan_of,
    share_of,
    stage_before,
    with_share,
    without_share,
)
from bridge.traffic.split import Splitter
from dispatch.policy import TenantPolicy
from tests.bridge.traffic.conftest import CALLED, arrival_of, policy_of

OTHER = "+14155550101"
FRIEND, FOE = "+14155550111", "+14155550122"
SPLITTER = Splitter(b"key")
POLICY = policy_of()
PLAN = Plan(share=50, stages=(50, 250, 600, 1000), numbers={OTHER: 500}, called=(CALLED, OTHER))

MakePolicy = Callable[..., TenantPolicy]
MakeArrival = Callable[..., Arrival]

callers = st.integers(2_000_000_000, 9_999_999_999).map(lambda number: f"+1{number}")
shares = st.integers(0, 1000)


def at_share(share: int, **changes: Any) -> Rollouts:  # noqa: ANN401
    return Rollouts({"acme": RolloutState("acme", 1, shares={WHOLE: share}, **changes)})


def side(caller: str, share: int) -> str:
    return decide(arrival_of(caller), POLICY, at_share(share), SPLITTER).side


@given(callers, shares, shares)
def test_raising_the_share_only_adds_callers_and_lowering_only_removes(
    caller: str, one: int, other: int
) -> None:
    low, high = sorted((one, other))
    if side(caller, low) == "ai":
        assert side(caller, high) == "ai"


@given(callers)
def test_nobody_at_zero_and_everybody_at_a_hundred(caller: str) -> None:
    assert (side(caller, 0), side(caller, 1000)) == ("today", "ai")


@pytest.mark.parametrize("share", [1, 50, 250, 600, 999])
def test_of_ten_thousand_callers_the_share_holds(share: int) -> None:
    taken = sum(side(f"+1415{5550000 + index}", share) == "ai" for index in range(10_000))
    assert taken == share * 10


def test_ten_thousand_calls_without_a_number_keep_the_share(make_arrival: MakeArrival) -> None:
    sids = (f"CA{uuid.UUID(int=index * 104729).hex}" for index in range(10_000))
    taken = sum(
        decide(make_arrival("anonymous", call_sid=sid), POLICY, at_share(50), SPLITTER).side == "ai"
        for sid in sids
    )
    assert abs(taken / 10_000 - 0.05) <= 0.005


RULES = {"share": 100, "allow": [FRIEND], "block": [FOE]}
CLOSED = {"hours": {"tue": ["07:00-18:00"]}}
OPEN = {"hours": {"mon": ["07:00-18:00"]}}
CASES: dict[str, tuple[dict[str, Any], str, Rollouts, Verdict]] = {
    "by the file": ({}, FRIEND, Rollouts(), Verdict("ai", "share")),
    "share of nothing": ({"share": 0}, FRIEND, Rollouts(), Verdict("today", "share")),
    "what was said stands before the file": (
        {"share": 100},
        FRIEND,
        at_share(0),
        Verdict("today", "share"),
    ),
    "blocked": (RULES, FOE, at_share(1000), Verdict("today", "caller_blocked")),
    "blocked, in another spelling": (
        RULES,
        "+1 415 555 0122",
        at_share(1000),
        Verdict("today", "caller_blocked"),
    ),
    "allowed": (RULES, FRIEND, at_share(0), Verdict("ai", "caller_allowed")),
    "allowed, but nobody is open": (
        RULES | CLOSED,
        FRIEND,
        at_share(1000),
        Verdict("today", "outside_hours"),
    ),
    "open": (OPEN, FRIEND, at_share(1000), Verdict("ai", "share")),
    "killed": (RULES, FRIEND, at_share(1000, killed=True), Verdict("today", "kill_switch")),
    "all killed": (
        RULES,
        FRIEND,
        Rollouts({WHOLE: RolloutState(WHOLE, 1, killed=True)}),
        Verdict("today", "kill_switch"),
    ),
    "nobody's number is never allowed": (
        RULES,
        "+266696687",
        at_share(0),
        Verdict("today", "share"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_side_and_why(case: str, make_policy: MakePolicy, make_arrival: MakeArrival) -> None:
    rules, caller, rollouts, verdict = CASES[case]
    assert decide(make_arrival(caller), make_policy(rules), rollouts, SPLITTER) == verdict


def test_a_number_of_no_tenant_is_todays(make_arrival: MakeArrival) -> None:
    assert decide(make_arrival(), None, Rollouts(), SPLITTER) == Verdict(
        "today", "called_number_unknown"
    )


def test_hours_are_those_of_the_business(
    make_policy: MakePolicy, make_arrival: MakeArrival
) -> None:
    """14:59 and 15:00 UTC are 06:59 and 07:00 in Los Angeles."""
    early = dt.datetime(2026, 11, 23, 14, 59, tzinfo=dt.UTC)
    policy = make_policy(OPEN)
    verdicts = [
        decide(make_arrival(at=at), policy, at_share(1000), SPLITTER).side
        for at in (early, early + dt.timedelta(minutes=1))
    ]
    assert verdicts == ["today", "ai"]


# --- shares ----------------------------------------------------------------------------------


def state(shares: dict[str, int]) -> RolloutState:
    return RolloutState("acme", 1, shares=shares)


def test_the_files_shares_hold_until_somebody_says_something() -> None:
    fresh = state({})
    assert [share_of(fresh, PLAN, where) for where in (CALLED, OTHER, WHOLE)] == [50, 500, 50]
    assert own_shares(fresh, PLAN) == {WHOLE: 50, OTHER: 500}


def test_what_is_said_of_one_number_leaves_the_others() -> None:
    said = state(with_share(state({}), PLAN, CALLED, 900))
    assert said.shares == {WHOLE: 50, OTHER: 500, CALLED: 900}
    assert state(without_share(said, PLAN, CALLED)).shares == {WHOLE: 50, OTHER: 500}
    later = dataclasses.replace(PLAN, share=1000, numbers={})
    assert [share_of(said, later, where) for where in (CALLED, OTHER, WHOLE)] == [900, 500, 50]


def test_a_foreign_number_has_no_share() -> None:
    with pytest.raises(RolloutError, match=f"there are: \\{CALLED}, \\{OTHER}"):
        with_share(state({}), PLAN, FOE, 50)
    with pytest.raises(RolloutError, match="has no share of its own"):
        without_share(state({}), PLAN, CALLED)


def test_a_tenant_of_every_number_takes_shares_for_any() -> None:
    plan = dataclasses.replace(PLAN, called=("*",))
    assert with_share(state({}), plan, FOE, 50)[FOE] == 50


STEPS = {0: (50, None), 30: (50, 0), 50: (250, 0), 120: (250, 50), 1000: (None, 600)}


@pytest.mark.parametrize("share", STEPS)
def test_stages_are_stepped_through(share: int) -> None:
    forth, back = STEPS[share]
    for step, expected in ((next_stage, forth), (stage_before, back)):
        if expected is None:
            with pytest.raises(RolloutError, match="already"):
                step(PLAN, share)
        else:
            assert step(PLAN, share) == expected


def test_a_step_back_and_a_stop_reach_every_number() -> None:
    assert all_back(state({}), PLAN) == {WHOLE: 0, OTHER: 250}
    assert all_to_zero(state({}), PLAN) == {WHOLE: 0, OTHER: 0}


def test_a_plan_is_the_file_in_tenths() -> None:
    file = {"share": 12.5, "numbers": {OTHER: 50}, "stages": [0.1, 100]}
    assert plan_of(policy_of(file)) == Plan(125, (1, 1000), {OTHER: 500}, (CALLED, OTHER))
