"""The deadlines of one call. The runner sleeps until the next of them.

Nothing here knows a clock.
"""

from __future__ import annotations

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
    "stall",
]


class Timers:
    """Named deadlines in seconds of the caller's clock; setting a name again moves it."""

    def __init__(self) -> None:
        self._due: dict[TimerName, float] = {}

    def set(self, name: TimerName, at: float) -> None:
        self._due[name] = at

    def cancel(self, *names: TimerName) -> None:
        for name in names:
            self._due.pop(name, None)

    def clear(self) -> None:
        self._due.clear()

    def at(self, name: TimerName) -> float:
        """When ``name`` comes due. Raises ``KeyError`` where it is not set."""
        return self._due[name]

    def __contains__(self, name: TimerName) -> bool:
        return name in self._due

    @property
    def next_deadline(self) -> float | None:
        return min(self._due.values(), default=None)

    def take_due(self, now: float) -> list[TimerName]:
        """Remove and return what is due, earliest first."""
        due = sorted((at, name) for name, at in self._due.items() if at <= now)
        for _, name in due:
            del self._due[name]
        return [name for _, name in due]
