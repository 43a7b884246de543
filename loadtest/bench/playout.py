"""Twilio's play-out buffer of one call: what it has played, and which marks are due."""

from __future__ import annotations

from collections import deque

NS_PER_BYTE = 125_000
"""8 kHz mu-law: eight bytes a millisecond."""


NEVER_NS = 2**63 - 1


class Playout:
    """Times are monotonic nanoseconds, handed in."""

    __slots__ = ("_ends_ns", "_pending", "next_ns")

    def __init__(self) -> None:
        self._ends_ns = 0
        self._pending: deque[tuple[int, str]] = deque()
        self.next_ns = NEVER_NS
        """When the next mark is to be echoed."""

    def play(self, audio_bytes: int, now_ns: int) -> None:
        """Queue audio behind what is already there."""
        self._ends_ns = max(self._ends_ns, now_ns) + audio_bytes * NS_PER_BYTE

    def mark(self, name: str) -> None:
        """Remember to echo ``name`` once everything queued so far has been played."""
        self._pending.append((self._ends_ns, name))
        self.next_ns = self._pending[0][0]

    def due(self, now_ns: int) -> list[str]:
        """Names to echo now, in order."""
        names = []
        while self._pending and self._pending[0][0] <= now_ns:
            names.append(self._pending.popleft()[1])
        self.next_ns = self._pending[0][0] if self._pending else NEVER_NS
        return names

    def clear(self, now_ns: int) -> list[str]:
        """Drop what was not played. Twilio then echoes every pending mark, heard or not."""
        names = [name for _, name in self._pending]
        self._pending.clear()
        self._ends_ns = now_ns
        self.next_ns = NEVER_NS
        return names
