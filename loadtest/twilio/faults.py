"""Ways in which the simulated Twilio misbehaves on request, to test a bridge against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StreamFaults:
    """What is wrong with the beginning of a stream; ``starts``: how many ``start`` messages."""

    omit_connected: bool = False
    starts: int = 1
    call_sid: str | None = None
    account_sid: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


NO_FAULTS = StreamFaults()


@dataclass(slots=True)
class RestFault:
    """What goes wrong with the next ``count`` requests; ``operation`` None means any.

    ``status`` and ``code`` are answered instead of the result; ``carried_out`` tells whether the
    request takes effect all the same. ``drop``: take effect, then break the connection.
    """

    count: int = 1
    operation: str | None = None
    status: int | None = None
    code: int = 0
    carried_out: bool = False
    delay_s: float = 0.0
    drop: bool = False


class RestFaults:
    """Faults waiting to happen, in the order they were asked for."""

    def __init__(self) -> None:
        self._waiting: list[RestFault] = []

    def throttle_next(self, count: int = 1, operation: str | None = None) -> None:
        """429 with code 20429: not carried out, so it may be sent again."""
        self.add(RestFault(count, operation, status=429, code=20429))

    def fail_next(
        self, count: int = 1, operation: str | None = None, *, carried_out: bool = False
    ) -> None:
        """500 with code 20500."""
        fault = RestFault(count, operation, status=500, code=20500, carried_out=carried_out)
        self.add(fault)

    def delay_next(self, delay_s: float, count: int = 1, operation: str | None = None) -> None:
        """Answer late."""
        self.add(RestFault(count, operation, delay_s=delay_s))

    def drop_next(self, count: int = 1, operation: str | None = None) -> None:
        """Carry out, then drop the connection without an answer."""
        self.add(RestFault(count, operation, drop=True))

    def add(self, fault: RestFault) -> None:
        self._waiting.append(fault)

    def take(self, operation: str) -> RestFault | None:
        """The fault for a request that has come in now, if there is one."""
        for fault in self._waiting:
            if fault.operation in (None, operation):
                fault.count -= 1
                if fault.count <= 0:
                    self._waiting.remove(fault)
                return fault
        return None
