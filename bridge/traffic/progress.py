"""Calls that this process has taken: expected, running, and by whom. Bounded; knows no clock."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TypeVar

_Key = TypeVar("_Key")

EXPECTED_S = 15.0
"""A caller who was sent to the media socket is there by then, or does not come."""
HOUR_S = 3600.0
CALLERS = 100_000
"""Callers whose last hour is remembered; the ones who called longest ago are forgotten first."""


@dataclass(slots=True)
class _Taken:
    tenant: str
    caller: str | None
    expected_until: float | None
    """None once its stream has begun."""


class Progress:
    """Times are seconds of one monotonic clock, handed in. ``caller`` is None for nobody's number,
    which no limit for callers applies to."""

    def __init__(self) -> None:
        self._taken: OrderedDict[str, _Taken] = OrderedDict()
        self._of_tenants: Counter[str] = Counter()
        self._of_callers: Counter[tuple[str, str]] = Counter()
        self._history: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def taken(self, call_sid: str, tenant: str, caller: str | None, now: float) -> None:
        """Its caller is on the way. A call that is known already counts once."""
        if call_sid in self._taken:
            return
        self._add(call_sid, _Taken(tenant, caller, now + EXPECTED_S))
        if caller is not None:
            self._remember((tenant, caller), now)

    def begun(self, call_sid: str, tenant: str, caller: str | None) -> None:
        """Its stream is here, whichever process took the call."""
        known = self._taken.get(call_sid)
        if known is None:
            self._add(call_sid, _Taken(tenant, caller, None))
        else:
            known.expected_until = None

    def over(self, call_sid: str) -> None:
        gone = self._taken.pop(call_sid, None)
        if gone is None:
            return
        _less(self._of_tenants, gone.tenant)
        if gone.caller is not None:
            _less(self._of_callers, (gone.tenant, gone.caller))

    def knows(self, call_sid: str) -> bool:
        return call_sid in self._taken

    def calls(self, now: float) -> int:
        self._forget_expected(now)
        return len(self._taken)

    def of_tenant(self, tenant: str, now: float) -> int:
        self._forget_expected(now)
        return self._of_tenants[tenant]

    def of_caller(self, tenant: str, caller: str, now: float) -> int:
        self._forget_expected(now)
        return self._of_callers[tenant, caller]

    def within_the_hour(self, tenant: str, caller: str, now: float) -> int:
        """Calls that were taken from a caller, those in progress included."""
        times = self._history.get((tenant, caller), ())
        return sum(at > now - HOUR_S for at in times)

    def _add(self, call_sid: str, taken: _Taken) -> None:
        self._taken[call_sid] = taken
        self._of_tenants[taken.tenant] += 1
        if taken.caller is not None:
            self._of_callers[taken.tenant, taken.caller] += 1

    def _remember(self, who: tuple[str, str], now: float) -> None:
        known = self._history.get(who, ())
        # Short and many: a deque takes six hundred bytes for its first entry.
        self._history[who] = [*(at for at in known if at > now - HOUR_S), now]
        self._history.move_to_end(who)
        while len(self._history) > CALLERS or self._oldest_call() <= now - HOUR_S:
            self._history.popitem(last=False)

    def _oldest_call(self) -> float:
        """The last call of the caller who called longest ago."""
        return next(iter(self._history.values()))[-1]

    @property
    def callers_remembered(self) -> int:
        return len(self._history)

    def _forget_expected(self, now: float) -> None:
        """Those who never came. The oldest are first, and running ones are few."""
        late = [
            call_sid
            for call_sid, taken in self._taken.items()
            if taken.expected_until is not None and taken.expected_until <= now
        ]
        for call_sid in late:
            self.over(call_sid)


def _less(counter: Counter[_Key], key: _Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
