"""How many of the model's tokens a minute are left, by what it last said itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bridge.protocol.realtime import RateLimit

TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class _Reported:
    limit: RateLimit
    at: float
    begun: int = 0
    """Calls that were taken since."""


class Headroom:
    """``reserve`` is the percentage of the limit that further calls leave alone.

    Until the model has said anything there is room. A limit refills evenly, to the full within the
    ``reset_seconds`` that were reported.
    """

    def __init__(self, reserve: float, tokens_per_call: int) -> None:
        self._reserve = reserve
        self._tokens_per_call = tokens_per_call
        self._reported: _Reported | None = None

    def updated(self, limits: Iterable[RateLimit], now: float) -> None:
        for limit in limits:
            if limit.name == TOKENS and limit.limit > 0:
                self._reported = _Reported(limit, now)

    def begun(self) -> None:
        """A call was taken, of whose tokens the model has not told yet."""
        if self._reported is not None:
            self._reported = replace(self._reported, begun=self._reported.begun + 1)

    def left(self, now: float) -> float | None:
        """Tokens, as far as known."""
        if self._reported is None:
            return None
        limit, passed_s = self._reported.limit, now - self._reported.at
        refilled = 1.0
        if limit.reset_seconds > 0:
            refilled = min(1.0, passed_s / limit.reset_seconds)
        remaining = limit.remaining + (limit.limit - limit.remaining) * refilled
        # Calls count as begun for a minute; after that the model has reported of them, or is idle.
        spent = self._reported.begun * self._tokens_per_call if passed_s < 60 else 0
        return max(0.0, remaining - spent)

    def has_room(self, now: float) -> bool:
        left = self.left(now)
        if left is None or self._reported is None:
            return True
        return left - self._tokens_per_call >= self._reported.limit.limit * self._reserve / 100
