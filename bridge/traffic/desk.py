"""Where every call is decided: AI or today's flow; and where is told how the AI's calls went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bridge.call.effects import Note
from bridge.protocol.realtime import RateLimit
from bridge.rollouts import Rollouts
from bridge.traffic import guard
from bridge.traffic.admission import Admitter
from bridge.traffic.callers import caller_number
from bridge.traffic.guard import Tallies
from bridge.traffic.rollout import Arrival, Side, decide
from bridge.traffic.split import Splitter
from bridge.traffic.watcher import RolloutWatcher
from dispatch.outcome import AssistantFailed, CallerLeft, Outcome
from dispatch.policy import TenantPolicy


@dataclass(frozen=True, slots=True)
class Ruling:
    """``tenant`` is empty for a number of nobody; ``reason`` is a snake_case word."""

    tenant: str
    side: Side
    reason: str


class Policies(Protocol):
    """The tenants as they are now."""

    def of_number(self, called: str) -> TenantPolicy | None: ...

    def named(self, tenant: str) -> TenantPolicy | None: ...


class TrafficDesk:
    """One instance a process. ``clock`` gives seconds of a monotonic clock. Nothing here waits."""

    def __init__(
        self,
        policies: Policies,
        watcher: RolloutWatcher,
        admitter: Admitter,
        splitter: Splitter,
        tallies: Tallies,
        clock: Callable[[], float],
    ) -> None:
        self._policies = policies
        self._watcher = watcher
        self._admitter = admitter
        self._splitter = splitter
        self._tallies = tallies
        self._clock = clock

    def rule(self, arrival: Arrival, unready: str | None = None) -> Ruling:
        """A call that the AI gets counts as taken from now on.

        ``unready``: why this process can take none at all, where that is so.
        """
        policy = self._policies.of_number(arrival.called)
        rollouts = self._watcher.current
        tenant = "" if policy is None else policy.tenant
        if policy is not None and rollouts is None:
            return Ruling(tenant, "today", "rollout_unknown")
        verdict = decide(arrival, policy, rollouts or Rollouts(), self._splitter)
        if policy is None or verdict.side == "today":
            return Ruling(tenant, verdict.side, verdict.reason)
        refused = unready or self._take(arrival, policy)
        if refused is not None:
            return Ruling(tenant, "today", refused)
        return Ruling(tenant, "ai", verdict.reason)

    def _take(self, arrival: Arrival, policy: TenantPolicy) -> str | None:
        if self._admitter.progress.knows(arrival.call_sid):
            return None  # its webhook is repeated
        tenant, model = policy.tenant, policy.model.model
        caller, now = caller_number(arrival.caller), self._clock()
        refused = self._admitter.refusal(tenant, model, caller, policy.admission, now)
        if refused is None:
            self._admitter.taken(arrival.call_sid, tenant, model, caller, now)
        return refused

    # --- what becomes of the AI's calls ----------------------------------------------------------

    def begun(self, call_sid: str, tenant: str, caller: str) -> None:
        """Its stream is here."""
        self._admitter.progress.begun(call_sid, tenant, caller_number(caller))

    def noted(self, tenant: str, note: Note) -> None:
        policy = self._policies.named(tenant)
        if note.kind == "turn" and policy is not None:
            self._tallies.add(tenant, guard.turn_counts(note.fields, policy.guard))

    def over(
        self, call_sid: str, tenant: str, outcome: Outcome | None, stream_s: float, written: bool
    ) -> None:
        """The stream is closed. ``written``: where the call goes stands in the ledger."""
        self._admitter.progress.over(call_sid)
        left_early = isinstance(outcome, CallerLeft) and stream_s < guard.EARLY_S
        counts = {
            guard.CALLS: 1,
            guard.FALLBACKS: isinstance(outcome, AssistantFailed),
            guard.EARLY_HANGUPS: left_early,
            guard.DISPATCH_FAILURES: not written,
        }
        self._tallies.add(tenant, counts)

    def lost(self, tenant: str) -> None:
        """A call came back from its stream without a decision: whoever held it is gone."""
        self._tallies.add(tenant, {guard.CALLS: 1, guard.FALLBACKS: 1})

    def route_failed(self, tenant: str) -> None:
        """A call could not be handed to where it was sent."""
        self._tallies.add(tenant, {guard.DISPATCH_FAILURES: 1})

    def watch(self, tenant: str) -> TenantWatch:
        """What the model's connections for a tenant tell."""
        return TenantWatch(self, tenant)

    # --- the model -----------------------------------------------------------------------------

    def connected(self, tenant: str) -> None:
        self._admitter.breaker(tenant).connected(self._clock())

    def connect_failed(self, tenant: str) -> None:
        self._admitter.breaker(tenant).failed(self._clock())

    def rate_limits(self, tenant: str, limits: tuple[RateLimit, ...]) -> None:
        policy = self._policies.named(tenant)
        if policy is not None:
            self._admitter.rate_limits(policy.model.model, limits, self._clock())


@dataclass(frozen=True, slots=True)
class TenantWatch:
    """The desk, seen from one tenant's connections to the model."""

    desk: TrafficDesk
    tenant: str

    def connected(self) -> None:
        self.desk.connected(self.tenant)

    def connect_failed(self) -> None:
        self.desk.connect_failed(self.tenant)

    def rate_limits(self, limits: tuple[RateLimit, ...]) -> None:
        self.desk.rate_limits(self.tenant, limits)
