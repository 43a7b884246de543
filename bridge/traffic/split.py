"""Which side of a share a caller is on: a keyed hash, the same in every process and every time.

Every caller has a position from 0 to 999 and is taken while the share, in tenths of a percent, lies
above it: raising the share only adds callers, lowering it only removes some.

Positions of numbers are shuffled within each thousand consecutive numbers (the last three digits),
by a small keyed permutation. So any full thousand is split exactly, at every share, and callers
whose numbers lie close together scatter less than if each had been drawn by itself.
"""

from __future__ import annotations

import hashlib
import hmac

POSITIONS = 1000
_ROUNDS = 6
_LEFT, _RIGHT = 25, 40
"""A three-digit tail as two digits of mixed radix: 25 times 40 is 1000."""


class Splitter:
    """``key`` decides who is where; another key is another split."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def position(self, tenant: str, called: str, number: str) -> int:
        """Of a caller's number in E.164, towards one tenant and called number."""
        place = f"number\0{tenant}\0{called}\0{len(number)}\0{number[:-3]}"
        left, right = divmod(int(number[-3:]), _RIGHT)
        for turn in range(_ROUNDS // 2):
            left = (left + self._hash(f"{place}\0{turn}\0r{right}")) % _LEFT
            right = (right + self._hash(f"{place}\0{turn}\0l{left}")) % _RIGHT
        return left * _RIGHT + right

    def stranger(self, tenant: str, called: str, call_sid: str) -> int:
        """Of a call without a number: its own, so that the share holds among such calls too."""
        return self._hash(f"call\0{tenant}\0{called}\0{call_sid}") % POSITIONS

    def _hash(self, text: str) -> int:
        digest = hmac.new(self._key, text.encode(), hashlib.sha256).digest()
        return int.from_bytes(digest[:8], "big")
