"""What became of a numbered sequence: lost, duplicated, reordered. Knows no clock."""

from __future__ import annotations

from dataclasses import dataclass

MISSING_LIMIT = 5_000
"""Missing numbers remembered per sequence (100 s of frames); more are counted, not listed."""


@dataclass(frozen=True, slots=True)
class Faults:
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0

    def __add__(self, other: Faults) -> Faults:
        return Faults(
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.reordered + other.reordered,
        )

    @property
    def total(self) -> int:
        return self.lost + self.duplicated + self.reordered


class Sequence:
    """Numbers count up from 0. Only those of the open window ``[floor, ceiling)`` are judged.

    The hot path is the caller's: ``if number == sequence.next: sequence.next += 1``, and
    ``irregular`` for everything else.
    """

    __slots__ = ("_duplicated", "_floor", "_missing", "_reordered", "_unlisted", "next")

    def __init__(self) -> None:
        self.next = 0
        self.open(0)

    def open(self, floor: int) -> None:
        """Judge what is numbered ``floor`` and above; forget what was found before."""
        self._floor = floor
        self._missing: set[int] = set()
        self._unlisted = 0
        self._duplicated = 0
        self._reordered = 0

    def irregular(self, number: int) -> None:
        """A number arrived that is not ``next``."""
        if number > self.next:
            self._skip_to(number)
            self.next = number + 1
        elif number in self._missing:
            self._missing.discard(number)
            self._reordered += 1
        elif number >= self._floor:
            self._duplicated += 1

    def _skip_to(self, number: int) -> None:
        gap = range(max(self.next, self._floor), number)
        listed = gap[: MISSING_LIMIT - len(self._missing)]
        self._missing.update(listed)
        self._unlisted += len(gap) - len(listed)

    def faults(self, ceiling: int) -> Faults:
        """Faults below ``ceiling``; what has not arrived by now is lost."""
        listed = sum(number < ceiling for number in self._missing)
        never = max(0, ceiling - max(self.next, self._floor))
        return Faults(listed + self._unlisted + never, self._duplicated, self._reordered)
