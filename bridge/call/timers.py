"""The deadlines of one call. The runner sleeps until the next of them.

Nothing here knows a clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Literal, TypeAlias

TimerName: TypeAlias = Literal[
    "answer",
    "call",
    "caller_silence",
    "closing",
    "decision",
    "digits",
    "hold",
    "media",
    "model_ready",
    "reconnect",
    "response_start",
    "retry",
    "speech",
    "stall",
]


class Timers:
    """Named deadlines in seconds of the caller's clock; setting a name again moves it."""

    def __init__(self) -> None:
        self._due: dict[TimerName, float] = {}
        # The earliest, kept because it is asked for after every message; None: not known.
        self._next: float | None = None

    def set(self, name: TimerName, at: float) -> None:
        self._due[name] = at
        self._next = None

    def cancel(self, *names: TimerName) -> None:
        for name in names:
            if self._due.pop(name, None) is not None:
                self._next = None

    def clear(self) -> None:
        self._due.clear()
        self._next = None

    def any_of(self, names: AbstractSet[TimerName]) -> bool:
        """Whether at least one of ``names`` is set."""
        return not names.isdisjoint(self._due)

    def at(self, name: TimerName) -> float:
        """When ``name`` comes due. Raises ``KeyError`` where it is not set."""
        return self._due[name]

    def __contains__(self, name: TimerName) -> bool:
        return name in self._due

    @property
    def next_deadline(self) -> float | None:
        if self._next is None and self._due:
            self._next = min(self._due.values())
        return self._next

    def take_due(self, now: float) -> Iterator[TimerName]:
        """What is due, earliest first, each removed as it is given.

        What is cancelled or moved meanwhile is not given, nor is any name twice.
        """
        for _, name in sorted((at, name) for name, at in self._due.items() if at <= now):
            if self._due.get(name, math.inf) <= now:
                self.cancel(name)
                yield name
