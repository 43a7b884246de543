"""Does a series grow? Theil-Sen slope with its confidence interval, and the Mann-Kendall test.

Both look only at the order and at pairs of values, so single spikes, steps of an allocator and
unequal spacing do not carry them away. Neither believes in a distribution.
Sources: Sen 1968 (slope and interval), Kendall 1975 (variance with ties).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LEAST_POINTS = 10
"""Fewer say nothing: the interval of the slope would be nearly everything."""
MOST_POINTS = 240
"""Longer series are halved into medians of neighbours until they fit: pairs grow by the square."""
CONFIDENCE = 0.99
HOUR_S = 3600.0


class TooShortError(ValueError):
    """Too few points for a judgement; the message says how many there are."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Change per hour in the unit of the values: the slope, and what it lies between with
    ``CONFIDENCE``. ``p_growing`` is how likely values without a trend would rise like this."""

    points: int
    slope: float
    low: float
    high: float
    p_growing: float
    first: float
    """Medians of the first and of the last quarter."""
    last: float

    def grows_beyond(self, limit: float) -> bool:
        """By more than ``limit`` an hour beyond doubt: the whole interval, and the order agrees."""
        return self.low > limit and self.p_growing < 1 - CONFIDENCE


def trend(times_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Raises TooShortError under ``LEAST_POINTS`` points, or where all are of the same moment."""
    if len(times_s) != len(values):
        raise ValueError(f"{len(times_s)} times, expected as many as values: {len(values)}")
    if len(values) < LEAST_POINTS:
        raise TooShortError(f"{len(values)} readings, expected at least {LEAST_POINTS}")
    times, found = _thinned(np.asarray(times_s, float), np.asarray(values, float))
    slopes = _slopes(times, found)
    if not len(slopes):
        raise TooShortError("all readings are of the same moment")
    variance = _kendall_variance(found)
    low, high = _interval(slopes, variance)
    quarter = max(1, len(found) // 4)
    return Trend(
        points=len(values),
        slope=float(np.median(slopes)) * HOUR_S,
        low=low * HOUR_S,
        high=high * HOUR_S,
        p_growing=_p_growing(found, variance),
        first=float(np.median(found[:quarter])),
        last=float(np.median(found[-quarter:])),
    )


def _thinned(
    times: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    size = math.ceil(len(values) / MOST_POINTS)
    if size == 1:
        return times, values
    starts = range(0, len(values), size)
    return (
        np.array([np.median(times[start : start + size]) for start in starts]),
        np.array([np.median(values[start : start + size]) for start in starts]),
    )


def _slopes(times: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of every pair, sorted."""
    earlier, later = np.triu_indices(len(times), k=1)
    spans = times[later] - times[earlier]
    apart = spans > 0
    rises = values[later] - values[earlier]
    return np.sort(rises[apart] / spans[apart])


def _kendall_variance(values: NDArray[np.float64]) -> float:
    """Of Kendall's S where there is no trend; equal values make it smaller."""
    count = len(values)
    _, ties = np.unique(values, return_counts=True)

    def term(n: int) -> int:
        return n * (n - 1) * (2 * n + 5)

    return (term(count) - sum(term(int(tie)) for tie in ties)) / 18


def _interval(slopes: NDArray[np.float64], variance: float) -> tuple[float, float]:
    """Sen's: the slopes so many places from the middle as S may stray by chance."""
    stray = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(variance)
    count = len(slopes)
    below = max(0, math.floor((count - stray) / 2))
    above = min(count - 1, math.ceil((count + stray) / 2))
    return float(slopes[below]), float(slopes[above])


def _p_growing(values: NDArray[np.float64], variance: float) -> float:
    """One-sided, with the correction for continuity; 1.0 where all values are equal."""
    if variance <= 0:
        return 1.0
    earlier, later = np.triu_indices(len(values), k=1)
    score = float(np.sign(values[later] - values[earlier]).sum())
    if score == 0:
        return 0.5
    z = (score - math.copysign(1, score)) / math.sqrt(variance)
    return 1 - NormalDist().cdf(z)
