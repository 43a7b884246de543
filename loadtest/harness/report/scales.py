"""From values to places on a plot: a fraction from 0 to 1, and where the ticks stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

_MOST_TICKS = 5
_STEPS = (1, 2, 2.5, 5, 10)
_TIME_STEPS_S = (
    1,
    2,
    5,
    10,
    20,
    30,
    60,
    120,
    300,
    600,
    1200,
    1800,
    3600,
    7200,
    14400,
    43200,
    86400,
)
_PERCENTILE_TICKS = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
_BETWEEN_TICKS = (75.0, 95.0)
"""Where there is room for them: up to this many values."""
_ROOM_UP_TO = 1000


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    """Fraction of the axis."""
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """``place(value)`` is a fraction; values beyond the ends are held at them."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    bend: Callable[[float], float] = float

    def place(self, value: float) -> float:
        low, high = self.bend(self.low), self.bend(self.high)
        if high <= low:
            return 0.0
        return min(1.0, max(0.0, (self.bend(value) - low) / (high - low)))


def amounts(highest: float, *, whole: bool = False) -> Scale:
    """From zero to a round number at or above ``highest``; ``whole`` for what is counted."""
    step = _round_step(max(highest, 1.0) if whole else highest or 1.0, whole=whole)
    count = max(1, math.ceil(round(highest / step, 9)))
    top = step * count
    ticks = tuple(Tick(n / count, _in_steps(step * n, step)) for n in range(count + 1))
    return Scale(0.0, top, ticks)


def span(low: float, high: float) -> Scale:
    """From ``low`` to ``high`` as they are, with round ticks between: for what never is near 0."""
    if high <= low:
        high = low + 1.0
    step = _round_step(high - low)
    first = math.ceil(low / step)
    last = math.floor(high / step)
    ticks = [step * number for number in range(first, last + 1)]
    scale = Scale(low, high, ())
    return replace(scale, ticks=tuple(Tick(scale.place(t), _in_steps(t, step)) for t in ticks))


def seconds(longest_s: float) -> Scale:
    """Time since the run began; ticks in seconds, minutes or hours."""
    longest_s = max(longest_s, 1.0)
    step = next((s for s in _TIME_STEPS_S if longest_s / s <= _MOST_TICKS), _TIME_STEPS_S[-1])
    count = math.floor(longest_s / step)
    ticks = tuple(Tick(step * n / longest_s, clock(step * n)) for n in range(count + 1))
    return Scale(0.0, longest_s, ticks)


def percentiles(count: int) -> Scale:
    """HdrHistogram's axis: as far from 90 to 99 % as from 99 to 99.9 %."""
    highest = 100.0 * (1.0 - 1.0 / max(count, 2))
    scale = Scale(0.0, highest, (), _nines)
    between = _BETWEEN_TICKS if count <= _ROOM_UP_TO else ()
    marks = [p for p in sorted((*_PERCENTILE_TICKS, *between)) if p <= highest]
    return Scale(0.0, highest, tuple(Tick(scale.place(p), f"{p:g}") for p in marks), _nines)


def _nines(percentile: float) -> float:
    return -math.log10(1.0 - min(percentile, 99.99999) / 100.0)


def _round_step(extent: float, *, whole: bool = False) -> float:
    rough = extent / _MOST_TICKS
    if whole and rough <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    fits = (power * step for step in _STEPS if not (whole and power * step % 1))
    return next((step for step in fits if step >= rough * 0.999), power * 10)


def _in_steps(value: float, step: float) -> str:
    """With as many decimals as the step has: neighbours never look the same."""
    decimals = next((d for d in range(9) if abs(round(step, d) - step) < step * 1e-6), 9)
    return f"{value:,.{decimals}f}" if value else "0"


def shown(value: float) -> str:
    """Four digits at most after the leading ones, thousands apart: 1,250 or 0.25."""
    if value == 0:
        return "0"
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def clock(at_s: float) -> str:
    """``45 s``, ``2:30`` minutes, ``1:05:00`` hours."""
    whole = round(at_s)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"


def thinned(values: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most ``most`` points; of each group the highest value stays, so that no peak is lost."""
    if len(values) <= most:
        return list(values)
    size = math.ceil(len(values) / most)
    groups = (values[start : start + size] for start in range(0, len(values), size))
    return [max(group, key=lambda point: point[1]) for group in groups]
