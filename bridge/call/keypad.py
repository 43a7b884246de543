"""Keys the caller presses, gathered to one entry: until ``#`` or until no key follows."""

from __future__ import annotations

MAX_DIGITS = 32


class Keypad:
    """Collects digits. ``push`` returns True when the entry is complete."""

    def __init__(self) -> None:
        self._digits: list[str] = []

    def push(self, digit: str) -> bool:
        if digit != "#":
            self._digits.append(digit)
        return digit == "#" or len(self._digits) >= MAX_DIGITS

    def take(self) -> str:
        digits = "".join(self._digits)
        self._digits.clear()
        return digits
