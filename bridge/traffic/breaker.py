"""A circuit breaker over connections to the model: no caller waits for what fails anyway."""

from __future__ import annotations

from enum import Enum

from bridge.traffic_settings import BreakerSettings


class Circuit(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """One call is on its way to try."""


class Signal(Enum):
    CONNECTED = "connected"
    FAILED_TOO_OFTEN = "failed_too_often"
    FAILED = "failed"
    WAITED = "waited"


TRANSITIONS = {
    (Circuit.CLOSED, Signal.FAILED_TOO_OFTEN): Circuit.OPEN,
    (Circuit.OPEN, Signal.WAITED): Circuit.HALF_OPEN,
    (Circuit.OPEN, Signal.CONNECTED): Circuit.CLOSED,  # the pool got a session meanwhile
    (Circuit.HALF_OPEN, Signal.CONNECTED): Circuit.CLOSED,
    (Circuit.HALF_OPEN, Signal.FAILED): Circuit.OPEN,
    (Circuit.HALF_OPEN, Signal.FAILED_TOO_OFTEN): Circuit.OPEN,
    (Circuit.HALF_OPEN, Signal.WAITED): Circuit.HALF_OPEN,  # that call never came: another
}
"""What is not here changes nothing."""


PATIENCE = 4


class Breaker:
    """Times are seconds of one monotonic clock, handed in."""

    def __init__(self, settings: BreakerSettings, *, tried_elsewhere: bool = False) -> None:
        """``tried_elsewhere``: a pool connects by itself too, so no caller need try so soon."""
        self._failures_allowed = settings.failures
        self._wait_s = settings.open_s * (PATIENCE if tried_elsewhere else 1)
        self._failures = 0
        self._since = 0.0
        self.circuit = Circuit.CLOSED

    def connected(self, now: float) -> None:
        self._failures = 0
        self._move(Signal.CONNECTED, now)

    def failed(self, now: float) -> None:
        self._failures += 1
        too_often = self._failures >= self._failures_allowed
        self._move(Signal.FAILED_TOO_OFTEN if too_often else Signal.FAILED, now)

    def admits(self, now: float) -> bool:
        """Whether a call may be sent on. After the wait one is, to find out."""
        if self.circuit is Circuit.CLOSED:
            return True
        if now - self._since < self._wait_s:
            return False
        self._move(Signal.WAITED, now)
        return True

    def _move(self, signal: Signal, now: float) -> None:
        following = TRANSITIONS.get((self.circuit, signal))
        if following is not None:
            self.circuit = following
            self._since = now
