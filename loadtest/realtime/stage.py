"""What the parts of a session share: clock, randomness, the way out, and the state they act on."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from .beta import BetaDialect
from .conversation import Conversation
from .faults import Cut, FaultPlan
from .latency import LatencyProfile
from .lines import LineLibrary
from .record import SessionRecord
from .script import Script
from .settings import SessionSettings
from .tap import SessionTap
from .usage import RateLimits, UsageMeter


class Handle(Protocol):
    def cancel(self) -> object: ...


class Clock(Protocol):
    """An event loop has it; tests may move one by hand."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> Handle: ...


class Wire(Protocol):
    """The connection, as seen from the session."""

    def send_text(self, payload: bytes) -> None: ...

    def send_binary(self, payload: bytes) -> None: ...

    def close(self, code: int, reason: str) -> None: ...

    def cut(self, cut: Cut) -> None: ...


class Timers:
    """Calls later, all of them cancelled at once when the session ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: set[Handle] = set()
        self._closed = False

    def after(self, delay_s: float, callback: Callable[[], object]) -> Handle | None:
        """Without a delay the call is made before this returns."""
        if self._closed:
            return None
        if delay_s <= 0:
            callback()
            return None
        handle: Handle

        def fire() -> None:
            self._pending.discard(handle)
            callback()

        handle = self._clock.call_at(self._clock.time() + delay_s, fire)
        self._pending.add(handle)
        return handle

    def cancel(self, handle: Handle | None) -> None:
        if handle is not None:
            handle.cancel()
            self._pending.discard(handle)

    def close(self) -> None:
        self._closed = True
        for handle in self._pending:
            handle.cancel()
        self._pending.clear()


@dataclass(eq=False)
class Stage:
    """One session's state and its way out."""

    clock: Clock
    timers: Timers
    rng: random.Random
    wire: Wire
    profile: LatencyProfile
    lines: LineLibrary
    faults: FaultPlan
    settings: SessionSettings
    conversation: Conversation
    script: Script
    record: SessionRecord
    limits: RateLimits = field(default_factory=RateLimits)
    meter: UsageMeter = field(default_factory=UsageMeter)
    tap: SessionTap | None = None
    wrong_format: bool = False
    """The caller's audio is not what was configured: answers are noise from here on."""
    dialect: BetaDialect | None = None
    """Speaks the beta's wire with this client; without one it is the GA's."""

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{self.rng.getrandbits(84):021x}"

    def emit(self, kind: str, **fields: object) -> None:
        """Send one server event."""
        event: Mapping[str, object] = fields
        if self.dialect is not None:
            translated = self.dialect.to_client(kind, fields)
            if translated is None:
                return
            kind, event = translated
        payload = orjson.dumps({"type": kind, "event_id": self.new_id("event"), **event})
        self.wire.send_text(payload)
        record = self.record
        record.sent[kind] += 1
        if record.keep_events:
            # From the bytes: later changes of an item must not show up in what was sent.
            record.events_sent.append((self.clock.time(), orjson.loads(payload)))
        record.changed()

    def note(self, what: str, **detail: object) -> None:
        self.record.note(self.clock.time(), what, **detail)
