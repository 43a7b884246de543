"""Rollouts of one process, gone with it: for tests and for running without a database."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence

from bridge.rollouts import Change, Plan, RolloutConflictError, Rollouts, RolloutState, Tally

CHANGES = 1000
COUNTS = 10_000


class MemoryRollouts:
    """Keeps the last ``CHANGES`` changes and ``COUNTS`` counts."""

    def __init__(self) -> None:
        self._states: dict[str, RolloutState] = {}
        self._plans: dict[str, Plan] = {}
        self._changes: deque[Change] = deque(maxlen=CHANGES)
        self._counts: deque[tuple[float, str, Tally]] = deque(maxlen=COUNTS)

    async def read(self) -> Rollouts:
        return Rollouts(dict(self._states), dict(self._plans))

    async def change(self, change: Change) -> None:
        current = self._states.get(change.tenant) or RolloutState(change.tenant)
        if change in self._changes:
            return
        if current.version != change.before.version:
            raise RolloutConflictError(current)
        self._states[change.tenant] = change.after
        self._changes.appendleft(change)

    async def history(self, tenant: str | None = None, limit: int = 50) -> Sequence[Change]:
        wanted = [one for one in self._changes if tenant in (None, one.tenant)]
        return tuple(wanted[:limit])

    async def steps_back(self) -> Mapping[str, int]:
        return Counter(one.tenant for one in self._changes if one.action == "guard")

    async def publish(self, plans: Mapping[str, Plan]) -> None:
        self._plans.update(plans)

    async def count(self, process: str, at: float, tallies: Mapping[str, Tally]) -> None:
        self._counts.extend((at, tenant, dict(tally)) for tenant, tally in tallies.items())

    async def counted(self, since: Mapping[str, float]) -> Mapping[str, Tally]:
        found: dict[str, dict[str, int]] = {tenant: defaultdict(int) for tenant in since}
        for at, tenant, tally in self._counts:
            if tenant in since and at >= since[tenant]:
                for kind, count in tally.items():
                    found[tenant][kind] += count
        return {tenant: dict(tally) for tenant, tally in found.items()}
