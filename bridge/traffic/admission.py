"""Whether this process can serve one more call well: if not, the call goes to today's flow."""

from __future__ import annotations

from bridge.openfiles import FreeFiles
from bridge.protocol.realtime import RateLimit
from bridge.traffic.breaker import Breaker
from bridge.traffic.headroom import Headroom
from bridge.traffic.loop_delay import LoopDelay
from bridge.traffic.progress import Progress
from bridge.traffic_settings import TrafficSettings
from dispatch.rollout import Admission as Limits


class Admitter:
    """Times are seconds of one monotonic clock, handed in. ``max_calls`` is of this process.

    ``pooled``: model sessions are kept ready, and connecting is tried without a call.
    """

    def __init__(self, settings: TrafficSettings, max_calls: int, *, pooled: bool = False) -> None:
        self._settings = settings
        self._max_calls = max_calls
        self._pooled = pooled
        self.loop_delay = LoopDelay()
        self.progress = Progress()
        self._files = FreeFiles()
        self._breakers: dict[str, Breaker] = {}
        self._headrooms: dict[str, Headroom] = {}

    def refusal(
        self, tenant: str, model: str, caller: str | None, limits: Limits, now: float
    ) -> str | None:
        """Why not, as a snake_case word; None takes the call. ``caller``: None for nobody's number.

        The breaker is asked last, since it lets single calls through to try.
        """
        progress = self.progress
        if progress.calls(now) >= self._max_calls:
            return "at_capacity"
        if self._files.short(now):
            return "files_short"
        if self.loop_delay.mean_ms > self._settings.max_loop_delay_ms:
            return "event_loop_late"
        if progress.of_tenant(tenant, now) >= limits.calls:
            return "tenant_at_capacity"
        if caller is not None:
            if progress.of_caller(tenant, caller, now) >= limits.calls_per_caller:
                return "caller_busy"
            hourly = progress.within_the_hour(tenant, caller, now)
            if hourly >= limits.calls_per_caller_and_hour:
                return "caller_too_often"
        if not self._headroom(model).has_room(now):
            return "model_rate_limit"
        return None if self.breaker(tenant).admits(now) else "model_unreachable"

    def taken(self, call_sid: str, tenant: str, model: str, caller: str | None, now: float) -> None:
        self.progress.taken(call_sid, tenant, caller, now)
        self._headroom(model).begun()

    def rate_limits(self, model: str, limits: tuple[RateLimit, ...], now: float) -> None:
        """What the model said of a session: the limits are those of the whole account."""
        self._headroom(model).updated(limits, now)

    def breaker(self, tenant: str) -> Breaker:
        """A tenant's own: its voice or key may be what the model refuses."""
        return self._breakers.setdefault(
            tenant, Breaker(self._settings.breaker, tried_elsewhere=self._pooled)
        )

    def _headroom(self, model: str) -> Headroom:
        settings = self._settings
        return self._headrooms.setdefault(
            model, Headroom(settings.token_reserve, settings.tokens_per_call)
        )
