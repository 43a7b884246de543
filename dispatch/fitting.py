"""Any JSON value made to fit so many characters, and still JSON: what is too much is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from dispatch.text import cut

MORE = "…"
"""Stands for what was left out of a list or a table, and ends a text that was cut."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """How much of a value is kept: entries of a list or table, characters of a text, levels."""

    entries: int
    chars: int
    levels: int


_SHAPES = (
    _Shape(200, 2000, 12),
    _Shape(50, 500, 8),
    _Shape(20, 200, 6),
    _Shape(10, 120, 5),
    _Shape(5, 80, 4),
    _Shape(3, 40, 3),
    _Shape(2, 20, 2),
)


def fit_json(value: object, limit: int) -> tuple[object, bool]:
    """``value`` or as much of it as takes at most ``limit`` characters as JSON, and whether it was
    cut. ``limit`` is at least 20."""
    if _size(value) <= limit:
        return value, False
    for shape in () if isinstance(value, str) else _SHAPES:
        kept = _reduced(value, shape)
        if _size(kept) <= limit:
            return kept, True
    return _as_text(value, limit), True


def _reduced(value: object, shape: _Shape) -> object:
    if isinstance(value, str):
        return cut(value, shape.chars)
    if not isinstance(value, dict | list):
        return value
    if shape.levels == 0:
        return MORE
    inner = _Shape(shape.entries, shape.chars, shape.levels - 1)
    if isinstance(value, list):
        entries = [_reduced(entry, inner) for entry in value[: shape.entries]]
        return [*entries, MORE] if len(value) > shape.entries else entries
    pairs = islice(value.items(), shape.entries)
    table = {str(key): _reduced(entry, inner) for key, entry in pairs}
    return {**table, MORE: MORE} if len(value) > shape.entries else table


def _as_text(value: object, limit: int) -> str:
    """The beginning of a text, or of the value's JSON; quotes and backslashes count twice there."""
    text = value if isinstance(value, str) else dumped(value)
    for room in _halves(limit - 2):
        kept = cut(text, room)
        if _size(kept) <= limit:
            return kept
    return MORE


def _halves(number: int) -> Iterator[int]:
    while number > 1:
        yield number
        number = number * 3 // 4


def _size(value: object) -> int:
    return len(dumped(value))


def dumped(value: object) -> str:
    """JSON on one line, in its own letters; half characters, which no wire takes, become "?"."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()
