"""The names of our marks. A name says which item was played how far, and in which epoch.

An epoch ends with every ``clear``: Twilio then echoes all pending marks although nobody heard
them, so an echo from an earlier epoch proves nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

MarkKind: TypeAlias = Literal["audio", "terminal"]
"""``terminal``: the last mark of the closing line; the stream may end when it comes back."""

_LETTERS: Final[dict[MarkKind, str]] = {"audio": "a", "terminal": "t"}
_KINDS: Final[dict[str, MarkKind]] = {letter: kind for kind, letter in _LETTERS.items()}
# Numbers in one spelling only, so that every name of ours reads back to what made it.
_NAME = re.compile(r"([at])(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,9})\.(.*)", re.ASCII | re.DOTALL)
_NUMBER_LIMIT = 10**10


@dataclass(frozen=True, slots=True)
class MarkRef:
    """Item ``item_id`` was played up to ``heard_ms`` of its own audio, if ``epoch`` is still on."""

    epoch: int
    item_id: str
    heard_ms: int
    kind: MarkKind = "audio"


def mark_name(epoch: int, item_id: str, heard_ms: int, kind: MarkKind = "audio") -> str:
    """A short name, a3.1200.item_1, for the mark behind the first ``heard_ms`` of an item."""
    if not 0 <= epoch < _NUMBER_LIMIT:
        raise ValueError(f"epoch is {epoch}, expected 0 to {_NUMBER_LIMIT - 1}")
    if not 0 <= heard_ms < _NUMBER_LIMIT:
        raise ValueError(f"heard_ms is {heard_ms}, expected 0 to {_NUMBER_LIMIT - 1}")
    return f"{_LETTERS[kind]}{epoch}.{heard_ms}.{item_id}"


def parse_mark(name: str) -> MarkRef | None:
    """What an echoed name refers to; None if we did not make it."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    letter, epoch, heard_ms, item_id = match.groups()
    return MarkRef(int(epoch), item_id, int(heard_ms), _KINDS[letter])
