"""The state of every rollout, shared by all processes: its values and the contract of its store.

Shares are tenths of a percent. A tenant that nobody said anything about yet has version 0 and the
shares of its triage file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from bridge.errors import TriageBridgeError

WHOLE = "*"
"""Instead of a called number: the tenant's share. Instead of a tenant: every tenant."""

Action: TypeAlias = Literal["set", "clear", "advance", "back", "kill", "resume", "guard"]


class RolloutConflictError(TriageBridgeError):
    """Somebody else changed it meanwhile; nothing was written. ``current`` is what stands."""

    def __init__(self, current: RolloutState) -> None:
        self.current = current
        super().__init__(
            f"the rollout of {current.tenant!r} was changed meanwhile (version {current.version}): "
            "look at it and try again"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a tenant's triage file says, as published by the processes that serve it."""

    share: int
    stages: tuple[int, ...]
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Called numbers with a share of their own."""
    called: tuple[str, ...] = ()
    """The tenant's numbers, or ``*``."""
    lock: str = ""
    """Made of the admin token of those who serve; "" where they have none."""


@dataclass(frozen=True, slots=True)
class RolloutState:
    tenant: str
    version: int = 0
    killed: bool = False
    shares: Mapping[str, int] = field(default_factory=dict)
    """By called number or ``WHOLE``; what is here stands before the file's."""
    changed_at: float = 0.0
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the change log. ``after.version`` is the number of the change."""

    before: RolloutState
    after: RolloutState
    action: Action
    who: str
    why: str

    @property
    def tenant(self) -> str:
        return self.after.tenant


@dataclass(frozen=True, slots=True)
class Rollouts:
    """All of it at one moment."""

    states: Mapping[str, RolloutState] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)

    def of(self, tenant: str) -> RolloutState:
        return self.states.get(tenant) or RolloutState(tenant)

    @property
    def all_killed(self) -> bool:
        return self.of(WHOLE).killed


Tally: TypeAlias = Mapping[str, int]
"""What happened on the AI side of one tenant, by the names of ``bridge.traffic.guard``."""


class RolloutStore(Protocol):
    """Safe to use from many processes at once. Any method may raise ``LedgerUnavailableError``."""

    async def read(self) -> Rollouts: ...

    async def change(self, change: Change) -> None:
        """Write ``after`` in the place of ``before`` and log it, all or nothing.

        Raises RolloutConflictError unless the stored version is that of ``before``.
        """
        ...

    async def history(self, tenant: str | None = None, limit: int = 50) -> Sequence[Change]:
        """The last changes, of one tenant or of all, the newest first."""
        ...

    async def steps_back(self) -> Mapping[str, int]:
        """How often guards stepped back, by tenant, of all changes that are kept."""
        ...

    async def publish(self, plans: Mapping[str, Plan]) -> None:
        """Make known what is served here."""
        ...

    async def count(self, process: str, at: float, tallies: Mapping[str, Tally]) -> None:
        """Add what ``process`` saw around ``at`` (Unix seconds), by tenant."""
        ...

    async def counted(self, since: Mapping[str, float]) -> Mapping[str, Tally]:
        """The sums over all processes, for each tenant from its own moment on."""
        ...


def changed(
    state: RolloutState,
    at: float,
    *,
    shares: Mapping[str, int] | None = None,
    killed: bool | None = None,
) -> RolloutState:
    """The next version of ``state``."""
    return RolloutState(
        state.tenant,
        state.version + 1,
        state.killed if killed is None else killed,
        dict(state.shares if shares is None else shares),
        at,
    )


def known_tenants(rollouts: Rollouts) -> Iterable[str]:
    """Those that processes serve or that somebody changed."""
    return sorted({*rollouts.plans, *rollouts.states} - {WHOLE})
