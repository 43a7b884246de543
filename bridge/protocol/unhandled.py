"""Counts what a peer sends and we do not use. Bounded, whatever the peer sends."""

from __future__ import annotations

from collections.abc import Mapping, Set
from types import MappingProxyType


class UnhandledCounter:
    """How often each kind of message came that nothing handles.

    ``expected`` are kinds that are documented and deliberately unused: counted, but never new.
    Beyond ``limit`` different kinds the rest is counted together, in ``overflow``.
    """

    def __init__(self, expected: Set[str] = frozenset(), limit: int = 64) -> None:
        if limit < 1:
            raise ValueError(f"limit is {limit}, expected at least 1")
        self._expected = expected
        self._limit = limit
        self._counts: dict[str, int] = {}
        self.overflow = 0

    def note(self, kind: str) -> bool:
        """Count one message; True the first time an unexpected kind is seen, so log it then."""
        if kind in self._counts:
            self._counts[kind] += 1
            return False
        if len(self._counts) >= self._limit:
            self.overflow += 1
            return False
        self._counts[kind] = 1
        return kind not in self._expected

    @property
    def counts(self) -> Mapping[str, int]:
        """Messages by kind, a live view."""
        return MappingProxyType(self._counts)

    @property
    def total(self) -> int:
        """All messages counted."""
        return sum(self._counts.values()) + self.overflow
