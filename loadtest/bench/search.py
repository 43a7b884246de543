"""How many calls a system carries: which level to try next, and what those tried amount to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TARGET_SHARE = 0.92
"""Of a core: where the first guess aims, just below where queues begin to grow."""
NEAR_CAPACITY_SHARE = 0.90
_SATURATED_SHARE = 0.97
"""Above this, CPU no longer grows with calls and says nothing about them."""
_GROWTH_LIMIT = 2.0
"""Two levels far below capacity say little of where it is."""
_STEP_UP = 1.08
_FINE = 0.04
_ROUND_TO = 5


@dataclass(frozen=True, slots=True)
class Tried:
    """One level: calls, share of a core that the system used, and whether all were carried well."""

    calls: int
    share: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Interpolated:
    calls: float
    extrapolated: bool
    """Whether no level was on the far side of the share asked for."""


def calls_at(share: float, levels: Sequence[Tried]) -> Interpolated | None:
    """Calls at which the system would use this share of a core; None where CPU was never measured.

    Straight lines between neighbours; beyond them goes the line from the first to the last, since
    two that lie close together differ by noise more than by calls.
    """
    points = sorted({(level.calls, level.share) for level in levels if _telling(level)})
    if not points:
        return None
    if len(points) == 1:
        calls, used = points[0]
        return Interpolated(calls * share / used, extrapolated=True)
    above = next((i for i, (_, used) in enumerate(points) if used >= share), len(points))
    outside = above in (0, len(points))
    left, right = (0, -1) if outside else (above - 1, above)
    (calls_0, used_0), (calls_1, used_1) = points[left], points[right]
    if used_1 <= used_0:
        return Interpolated(calls_1 * share / used_1, extrapolated=True)
    slope = (calls_1 - calls_0) / (used_1 - used_0)
    return Interpolated(calls_0 + (share - used_0) * slope, outside)


def _telling(level: Tried) -> bool:
    return 0 < level.share < _SATURATED_SHARE and level.calls > 0


def most_passed(levels: Sequence[Tried]) -> int:
    """The most calls that were carried well; 0 if none were."""
    return max((level.calls for level in levels if level.passed), default=0)


def next_level(levels: Sequence[Tried], limit: int) -> int | None:
    """The number of calls to try next; None when another level would say nothing new.

    Aims by CPU first, then steps up while levels pass, and halves the way once one has failed.
    """
    best = most_passed(levels)
    failed = [level.calls for level in levels if not level.passed and level.calls > best]
    if failed:
        worst = min(failed)
        middle = _rounded((best + worst) / 2)
        return middle if best < middle < worst and worst - best > best * _FINE else None
    if best >= limit:
        return None
    aim = calls_at(TARGET_SHARE, levels)
    wanted = best * _STEP_UP if aim is None else max(aim.calls, best * _STEP_UP)
    return min(max(best + _ROUND_TO, min(_rounded(wanted), int(best * _GROWTH_LIMIT))), limit)


def _rounded(calls: float) -> int:
    return round(calls / _ROUND_TO) * _ROUND_TO
