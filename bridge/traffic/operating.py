"""What operators do to a rollout: from the command line, over the admin API, and the guard too.

Every wish is checked against what is stored now, written with who, when and why, and refused with
a sentence where it makes no sense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bridge.rollouts import (
    WHOLE,
    Action,
    Change,
    Plan,
    RolloutConflictError,
    Rollouts,
    RolloutState,
    RolloutStore,
    changed,
    known_tenants,
)
from bridge.traffic.rollout import (
    RolloutError,
    next_stage,
    share_of,
    stage_before,
    with_share,
    without_share,
)
from dispatch.rollout import percent

SWITCH_TRIES = 10
"""A kill switch does not lose against somebody who moves the share meanwhile."""
MAX_WHO, MAX_WHY = 100, 500
NOBODY_SERVES = "no process has served this database yet"

Wanted: TypeAlias = Literal["set", "clear", "advance", "back", "kill", "resume"]


@dataclass(frozen=True, slots=True)
class Wish:
    """``tenant`` may be ``WHOLE`` for kill and resume; ``number`` is a called number or ``WHOLE``;
    ``share`` is what to set, or the stage to go to."""

    action: Wanted
    tenant: str
    who: str
    why: str
    number: str = WHOLE
    share: int | None = None


class Operator:
    """``clock`` gives Unix seconds."""

    def __init__(self, store: RolloutStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def carry_out(self, wish: Wish) -> RolloutState:
        """What stands afterwards. Raises RolloutError, RolloutConflictError, or what the store
        raises when it is away; then nothing was changed."""
        _check(wish)
        tries = SWITCH_TRIES if wish.action in ("kill", "resume") else 1
        while True:
            tries -= 1
            try:
                return await self._attempt(wish)
            except RolloutConflictError:
                if not tries:
                    raise

    async def _attempt(self, wish: Wish) -> RolloutState:
        rollouts = await self._store.read()
        before = rollouts.of(wish.tenant)
        _check_tenant(wish, rollouts)
        after = self._after(wish, before, rollouts)
        if (after.killed, after.shares) == (before.killed, before.shares):
            return before  # as it is already; a kill switch may be pressed twice
        await self._store.change(Change(before, after, wish.action, wish.who, wish.why))
        return after

    def _after(self, wish: Wish, before: RolloutState, rollouts: Rollouts) -> RolloutState:
        now = self._clock()
        if wish.action in ("kill", "resume"):
            return changed(before, now, killed=wish.action == "kill")
        return changed(before, now, shares=_moved(wish, before, rollouts.plans[wish.tenant]))


def _check(wish: Wish) -> None:
    for name, text, limit in (("who", wish.who, MAX_WHO), ("why", wish.why, MAX_WHY)):
        if not text.strip():
            raise RolloutError(f"'{name}' is empty: every change is recorded with who and why")
        if len(text) > limit or not text.isprintable():
            raise RolloutError(
                f"'{name}' has {len(text)} characters, expected up to {limit} on one line"
            )
    if wish.action in ("kill", "resume") and wish.number != WHOLE:
        raise RolloutError(
            f"{wish.action} takes no number: the switch is a tenant's, or that of all tenants"
        )
    if wish.action in ("clear", "kill", "resume") and wish.share is not None:
        raise RolloutError(f"{wish.action} takes no share")


def _check_tenant(wish: Wish, rollouts: Rollouts) -> None:
    if wish.tenant == WHOLE and wish.action in ("kill", "resume"):
        return
    if wish.tenant in rollouts.plans:
        return
    known = ", ".join(known_tenants(rollouts))
    there = f"there are: {known}" if known else NOBODY_SERVES
    raise RolloutError(f"there is no tenant {wish.tenant!r}; {there}")


def _moved(wish: Wish, state: RolloutState, plan: Plan) -> Mapping[str, int]:
    if wish.action == "clear":
        return without_share(state, plan, wish.number)
    now = share_of(state, plan, wish.number)
    match wish.action:
        case "set" if wish.share is None:
            raise RolloutError("'share' is missing: what is the share to be?")
        case "set":
            share = wish.share
        case "advance":
            share = next_stage(plan, now) if wish.share is None else wish.share
        case _:
            share = stage_before(plan, now) if wish.share is None else wish.share
    if wish.action != "set" and wish.share is not None:
        _check_stage(wish.action, wish.share, now, plan)
    return with_share(state, plan, wish.number, share or 0)


def _check_stage(action: Action, share: int, now: int, plan: Plan) -> None:
    if share not in plan.stages and not (action == "back" and share == 0):
        stages = ", ".join(percent(stage) for stage in plan.stages)
        raise RolloutError(f"{percent(share)} % is not a stage; the stages are {stages}")
    if not (share > now if action == "advance" else share < now):
        where = "above" if action == "advance" else "below"
        raise RolloutError(
            f"{percent(share)} % is not {where} {percent(now)} %, where the share stands"
        )
